"""What the models of runs say of posts: the topic, the sentiment, and what shares are estimated from."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd

from lit_react.applications.abstention import FEWEST
from lit_react.applications.monitoring import Reading
from lit_react.applications.reader import Abstention, Reader
from lit_react.applications.shares import ShareReader
from lit_react.core.errors import UserError
from lit_react.data.memory import as_split
from lit_react.data.pool import rows_and_classes
from lit_react.run.result import RunResult

AT_ONCE = 64
"""Posts in a forward pass."""

RARE = 0.01
"""Share of the letters of a run's texts below which a script counts as one that it has not learned."""

ALL = "all"
"""The topic of all posts where no run tells topics."""


class Opinions:
    """Reads posts; the models stay in memory.

    Args:
        sentiments: a run whose classes are sentiments.
        topics: a run whose classes are topics; None: there is one topic.
        negative: the sentiment whose surges are told.

    Raises:
        UserError: labels of a run are not one class a text, no round has ended, or too few labels were bought.
    """

    def __init__(self, sentiments: RunResult, topics: RunResult | None, negative: str) -> None:
        self.names = _classes(sentiments)
        if negative not in self.names:
            known = ", ".join(self.names)
            raise UserError(f"negative: {negative!r} is no class of {sentiments.folder.path}, expected one of {known}")
        self.topics, self.negative = _classes(topics) if topics else [ALL], negative
        labels = sentiments.pool_labels()
        if len(labels) < FEWEST:
            raise UserError(f"{sentiments.folder.path}: {len(labels)} labels were bought, expected at least {FEWEST}")
        rows, classes = rows_and_classes(labels)
        self.shares = ShareReader.fitted(sentiments.data.embeddings_of(rows), classes, len(self.names))
        self.sentiment = Reader(sentiments, Abstention(None, None))
        self.topic = Reader(topics, Abstention(None, None)) if topics else None
        self.scripts = frozenset.intersection(*(_scripts_of(run) for run in (sentiments, topics) if run))

    def __call__(self, texts: list[str]) -> list[Reading | None]:
        """A reading a text; None: it is in a script that a model has not learned."""
        readable = [text for text in texts if _script(text) in self.scripts | {""}]
        found: list[Reading] = []
        for start in range(0, len(readable), AT_ONCE):
            found += self._read(readable[start : start + AT_ONCE])
        readings = iter(found)
        return [next(readings) if _script(text) in self.scripts | {""} else None for text in texts]

    def _read(self, texts: list[str]) -> list[Reading]:
        said = _answers(self.sentiment, texts)
        topics = [each["label"] for each in _answers(self.topic, texts)] if self.topic else [ALL] * len(texts)
        table = as_split(pd.DataFrame({self.sentiment.column: texts}), "the stream")
        task = self.sentiment.task
        embeddings = np.asarray(task.embed(task.read({"pool": table}, self.sentiment.column, "").pool))
        shares = self.shares.classifier.probabilities(embeddings).astype(np.float32)
        return [
            Reading(topic, one["label"], one["probabilities"][self.negative], share)
            for topic, one, share in zip(topics, said, shares, strict=True)
        ]


def _answers(reader: Reader, texts: list[str]) -> list[dict]:
    answers = reader.answers([{reader.column: text} for text in texts])
    for answer in answers:
        if isinstance(answer, UserError):
            raise answer
    return [answer for answer in answers if isinstance(answer, dict)]


def _classes(result: RunResult) -> list[str]:
    """Names of the classes of a run's model."""
    names = result.data.class_names if result.data.task.labels_are_classes else None
    if not names:
        raise UserError(f"{result.folder.path}: its labels are not one class a text, which `monitor` counts")
    return names


def _scripts_of(result: RunResult) -> frozenset[str]:
    """The scripts that the texts of a run's pool are in."""
    rows = range(min(1000, len(result.data.pool)))
    return frozenset(_frequent(result.data.question("pool", row)["text"] for row in rows))


def _script(text: str) -> str:
    """The script of most of a text's letters, such as LATIN, CJK, CYRILLIC; "" where it has none."""
    return next(iter(_frequent([text])), "")


def _frequent(texts: Iterable[str]) -> list[str]:
    """The scripts of more than `RARE` of the letters, the most frequent first."""
    letters = Counter(
        unicodedata.name(letter, "").split(" ")[0] for text in texts for letter in text if letter.isalpha()
    )
    return [script for script, count in letters.most_common() if count > RARE * letters.total()]
