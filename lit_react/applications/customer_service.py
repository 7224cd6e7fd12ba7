"""Customer service: the answer that is written down for a question, or a person where there is none or it is unsure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
import numpy as np

from lit_react.applications.abstention import FEWEST, threshold_for
from lit_react.applications.faq import Entry, keys_of
from lit_react.applications.reader import Abstention, Reader
from lit_react.applications.retrieval import Floats, Index, Ints, words_of
from lit_react.core.errors import UserError
from lit_react.data.encoding import kept_by_nobody
from lit_react.data.task import Task
from lit_react.run.result import RunResult
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.text_classification import ClassificationTask

MAX_TOKENS = 128
BATCH = 100
MOST_OF_POOL = 500
"""Questions of the pool that tell which score is a usual one."""
USUAL_THRESHOLD = 0.5
"""Score from which on an answer is given where fewer than `FEWEST` questions can be held out."""


@dataclass(frozen=True)
class Found:
    """An entry that may answer a question, and its score: higher is likelier."""

    entry: Entry
    score: float


@dataclass(frozen=True)
class Reply:
    """What is said to a question.

    Attributes:
        found: the best entries, the best one first.
        abstains: why a person answers instead: `unsure` or `out of scope`; None: the first entry's answer is given.
    """

    found: list[Found]
    abstains: str | None


class CustomerService:
    """Finds answers by retrieval, and by the intents that a run has learned.

    The score of an entry is that of `Index`, plus the probability that the run's model gives its label. An answer
    is given where the index is sure, or the run is of its label, or the question is there word by word; none to a
    question without words. The index is sure from a score on that has the wanted precision on bought questions,
    each held out; without these, from one that so many of the written questions reach with no answer but their own.
    The run is sure of what is not out of scope (see `Reader`) from a confidence on that is the wanted precision in
    the mean of the pool's questions at or above it: bought ones are harder than those, and often none of their
    thresholds has the precision. As all of these are questions that an entry answers, neither sees one that none
    does: with a run, the share of the pool's questions that is left of the wanted precision, those of the least whole
    scores, says from which score on a question is like the others.

    Args:
        entries: one or more.
        run: whose labels are the entries' `label`s; its bought questions become keys too. None: there is none.
        pretrained: the encoder, without a run; a run has one.
        precision: share of right answers that is wanted among those that are given, in (0, 1).
        accelerator: of Lightning, for the run's model.

    Raises:
        UserError: the run has no model, or none of its labels is an entry's.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        run: RunResult | None = None,
        pretrained: str = MINILM,
        precision: float = 0.9,
        accelerator: str = "auto",
    ) -> None:
        self.entries, self.precision = list(entries), precision
        self.reader, bought, self.least = None, [], -np.inf
        if run is None:
            task: Task = ClassificationTask(pretrained, MAX_TOKENS).keeping_encoder()
        else:
            names = _class_names(run)
            self._classes = _classes_of(self.entries, names, run)
            self.reader = Reader(run, Abstention.of_run(run, precision), accelerator)
            self.run_threshold = _run_threshold(run, self.reader.abstention, precision)
            task, texts = self.reader.task, run.data.splits.pool["text"]
            bought = [(texts[row], names[label]) for row, label in run.pool_labels().items()]
        self.index = Index(keys_of(self.entries, bought, FEWEST), partial(embedded, task))
        self.learned = self.index.keys.bought
        self.threshold = USUAL_THRESHOLD
        if self.learned:
            self.threshold = threshold_for(*self.index.held_out(), precision)
        elif len(self.entries) >= FEWEST:
            self.threshold = float(np.quantile(self.index.of_others(), precision))
        if run is not None and len(others := _not_bought(run)) >= FEWEST:
            some = others[:: -(-len(others) // MOST_OF_POOL)]  # all over the pool, which may be in an order
            asked = run.data.splits.pool.select(some)["text"][:]
            best = [self.scores(asked[start : start + BATCH])[0].max(axis=1) for start in range(0, len(asked), BATCH)]
            self.least = float(np.quantile(np.concatenate(best), 1 - precision))

    def described(self) -> list[str]:
        """What it knows and when it abstains, a line each."""
        sure, right = self.index.held_out()
        given = sure >= self.threshold
        if self.learned and np.isinf(self.threshold):
            why = f"no threshold has precision {self.precision:g} on {len(sure)} held-out bought questions"
        elif self.learned:
            precision, coverage = right[given].mean(), given.mean()
            why = f"precision {precision:.3f} at coverage {coverage:.3f} of {len(sure)} held-out bought questions"
        elif len(self.entries) >= FEWEST:
            why = f"{self.precision:.0%} of the written questions are less like all answers but their own"
        else:
            why = f"as always with fewer than {FEWEST} answers"
        lines = [
            f"{len(self.entries)} answers by {len(self.index.keys.texts)} texts; BM25 weighs {self.index.weight:g}",
            f"sure from a score of {self.threshold:.3f}: {why}",
        ]
        if self.reader is not None:
            scope = self.reader.abstention.described(self.precision)[1]
            lines.append(f"the run is sure from a confidence of {self.run_threshold:.3f}; {scope}")
        if np.isfinite(self.least):
            lines.append(
                f"{1 - self.precision:.0%} of the pool's questions are below a whole score of {self.least:.3f}"
            )
        return lines

    def scores(self, questions: Sequence[str]) -> tuple[Floats, Floats, Sequence[dict[str, Any] | UserError | None]]:
        """Of each question and entry the whole score and that of the index, and what the run says of the question."""
        with kept_by_nobody():
            by_index = self.index.scores(questions)
        if self.reader is None:
            return by_index, by_index, [None] * len(questions)
        said = self.reader.answers([{self.reader.column: question} for question in questions])
        shares = np.zeros((len(questions), len(self.reader.module.names) + 1), np.float32)  # the last: of no class
        for row, answer in zip(shares, said, strict=True):
            if not isinstance(answer, UserError):
                row[:-1] = [answer["probabilities"][name] for name in self.reader.module.names]
        return by_index + shares[:, self._classes], by_index, said

    def replies(self, questions: Sequence[str], top: int = 3) -> list[Reply]:
        """What is said to each of some questions."""
        replies = []
        for question, scores, by_index, said in zip(questions, *self.scores(questions), strict=True):
            best = np.argsort(-scores, kind="stable")[:top]
            found = [Found(self.entries[number], float(scores[number])) for number in best]
            usual = found[0].score >= self.least
            sure = (usual and by_index[best[0]] >= self.threshold) or self.index.phrased(question) == best[0]
            doubt = None if sure and words_of(question) else self._doubt(question, said, found[0].entry.label, usual)
            replies.append(Reply(found, doubt))
        return replies

    def _doubt(self, question: str, said: dict[str, Any] | UserError | None, label: str, usual: bool) -> str | None:
        """Why the run does not answer either with an entry of a label, whose score is usual or not; None: it does."""
        if not isinstance(said, dict) or not words_of(question):
            return "unsure"
        if said["abstains"] == "out of scope":
            return "out of scope"
        sure = said["confidence"] is not None and said["confidence"] >= self.run_threshold
        return None if usual and sure and said["label"] == label else "unsure"


def embedded(task: Task, texts: Sequence[str]) -> Floats:
    """Masked-mean embeddings of unit length by a task's encoder, float32 [n, d]."""
    return np.asarray(task.embed(datasets.Dataset.from_dict({"text": list(texts)})))


def expected_threshold(confidences: Floats, wanted: float) -> float:
    """The least of calibrated confidences [n] such that those at or above it have the wanted mean; else infinity."""
    sure = np.sort(confidences)[::-1]
    good = np.flatnonzero(np.cumsum(sure) / np.arange(1, len(sure) + 1) >= wanted)
    return float(sure[good[-1]]) if len(good) else float("inf")


def _run_threshold(run: RunResult, abstention: Abstention, wanted: float) -> float:
    """By the second reader's confidence in its own labels of the pool that was not bought."""
    if abstention.confidence is None:
        return float("inf")
    probabilities = abstention.confidence.classifier.probabilities(run.data.embeddings_of(_not_bought(run)))
    return expected_threshold(probabilities.max(axis=1), wanted)


def _not_bought(run: RunResult) -> Ints:
    """Rows of the pool's sample without a bought label, int64 [n]."""
    return np.setdiff1d(run.data.sample, np.fromiter(run.pool_labels(), np.int64))


def _class_names(run: RunResult) -> list[str]:
    task = run.data.task
    if not (isinstance(task, EncoderTask) and task.labels_are_classes):
        raise UserError(f"run: {run.folder.path} has {type(task).__name__}: expected one that classifies texts")
    return run.data.class_names or []


def _classes_of(entries: Sequence[Entry], names: Sequence[str], run: RunResult) -> Ints:
    """int64 [n], the class of each entry's label; the number of classes where the run has none."""
    ids = {name: number for number, name in enumerate(names)}
    classes = np.array([ids.get(entry.label, len(names)) for entry in entries], np.int64)
    if (classes == len(names)).all():
        expected = f"expected {entries[0].label!r} and the like, got {names[0]!r}"
        raise UserError(f"run: {run.folder.path} has no label of these answers: {expected}")
    return classes
