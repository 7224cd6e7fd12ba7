"""Extractive question answering: the answer is a span of the context, which may be longer than the model reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForQuestionAnswering

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import TokenCost
from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.answers import CONTEXT, FLAT_TEXT, locate, read_questions
from lit_react.data.encoding import Batch, EncodedTable, cache_folder
from lit_react.data.splits import groups_of
from lit_react.data.tables import Source, Split
from lit_react.data.windows import SPARE, UNKNOWN, WindowTable, cut_into_windows
from lit_react.tasks.answer_metrics import AnswerScores, Language
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.spans import MASKED, BestSpans, best_spans, of_rows, once_each, span_scores
from lit_react.tasks.transformer import TransformerModule


@dataclass(frozen=True)
class QuestionTask(EncoderTask):
    """Questions whose answers are spans of their contexts; for the options, see `QuestionAnswering`.

    A context that is longer than the model reads is cut into windows that overlap. A label is `{"start": character,
    "text": answer, "answers": [all texts that answer]}`. Every question has its answer in its context (SQuAD 1.1,
    XQuAD, CMRC 2018).
    """

    text_column, label_column = "question", "answers"
    inputs = ("text", CONTEXT)
    has_classes = False
    answer_form = "span"
    shown = ("f1", "exact_match")
    default_cost = TokenCost()

    max_question_length: int = 64
    stride: int = 128
    language: Language = "en"

    def __post_init__(self) -> None:
        super().__post_init__()
        expect("model.max_question_length", self.max_question_length, at_least=1)
        expect("model.stride", self.stride, at_least=0)
        least = self.max_question_length + self.stride + SPARE
        if self.max_length <= least:
            raise UserError(
                f"model.max_length: {self.max_length} tokens leave no room for new context in each window, expected "
                f"more than max_question_length + stride + {SPARE} = {least}"
            )

    @property
    def names(self) -> list[str]:
        """Of the two classes that sum an answer up: it is the best span, or another."""
        return ["right", "wrong"]

    def metrics(self) -> nn.Module:
        """F1 and exact match."""
        return AnswerScores(self.language)

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Questions, contexts and answers; without `answers`, the flat columns are read, see `read_questions`."""
        columns = {name for split in tables.values() for name in split.table.column_names}
        flat = label == self.label_column and label not in columns
        return read_questions(tables, text, FLAT_TEXT if flat else label)

    def running_text(self, table: datasets.Dataset) -> datasets.Dataset:
        """The contexts."""
        return table.select_columns(CONTEXT).rename_column(CONTEXT, "text")

    def groups(self, table: datasets.Dataset) -> NDArray[np.int64]:
        """Questions about one context stay together: who has seen the context knows half of the other answers."""
        return groups_of(table[CONTEXT][:])

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Windows over question and context, in an Arrow file."""
        if not self.tokenizer.is_fast:
            raise UserError(f"model.pretrained: the tokenizer of {self.pretrained} does not know characters' offsets")
        return cut_into_windows(
            table,
            self.tokenizer,
            max_length=self.max_length,
            max_question_length=self.max_question_length,
            stride=self.stride,
            cache=cache_folder(),
        )

    def warnings(self, encoded: EncodedTable) -> list[str]:
        """None: windows read all of a context."""
        return []

    def sizes(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.int64]:
        """int64 [n], tokens of each context: what people read."""
        assert isinstance(encoded, WindowTable)
        return encoded.context_lengths

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """A text of the context, at its first place or at that nearest to `start`: `"…"` or `{"text", "start"}`."""
        given = {"text": answer} if isinstance(answer, str) else answer
        text, near = (given.get("text"), given.get("start")) if isinstance(given, dict) else (None, None)
        if not isinstance(text, str) or not text.strip() or type(near) not in (int, type(None)):
            raise ValueError(f'{answer!r} is no answer: expected a text of the context, or {{"text": …, "start": …}}')
        text = text.strip()
        start = locate(row[CONTEXT], text, near)
        if start is None:
            raise ValueError(f"{text!r} is not in the context: expected words as they stand there")
        return {"start": start, "text": text}

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """The question and the answer."""
        return row["text"], label["text"]

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`question`, `answer`, where it starts in the context, and `score`, its probability among all spans."""
        answer, start = _cut_out(row[CONTEXT], int(output["start"]), int(output["end"]))
        return {"question": row["text"], "answer": answer, "start": start, "score": round(float(output["score"]), 6)}


class QuestionAnswering(TransformerModule):
    """Fine-tune a pretrained model to mark the first and the last token of the answer in a context.

    For rows and labels, see `QuestionTask`; the answer is the best span of all windows of a question.

    Transformers 5 has no `question-answering` pipeline: `docs/exported_models.md` shows the use of an exported
    folder with `AutoModelForQuestionAnswering` that gives the same answers.

    Args:
        pretrained: a folder, a hub name (`deepset/roberta-base-squad2`), or `package:NAME/FOLDER` inside an installed
            package.
        max_length: tokens of a window: question, context and special ones.
        max_question_length: questions are cut at so many tokens.
        stride: tokens of the context that a window shares with the next.
        max_answer_length: tokens of the longest answer that the model may give.
        language: of the answers, for F1 and exact match: `en`, SQuAD's rules; `zh`, CMRC 2018's.
        optimizer: builds the optimiser from the parameters, anew in each round.
        **options: see `TransformerModule`.
    """

    auto_class = AutoModelForQuestionAnswering
    offers = frozenset({"head_inputs", "mutual_information"})
    task: QuestionTask

    def __init__(
        self,
        pretrained: str = MINILM,
        max_length: int = 384,
        max_question_length: int = 64,
        stride: int = 128,
        max_answer_length: int = 30,
        language: Language = "en",
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=3e-5, weight_decay=0.01, fused=True),
        **options: Any,
    ) -> None:
        task = QuestionTask(pretrained, max_length, max_question_length, stride, language)
        super().__init__(task, optimizer=optimizer, **options)
        expect("model.max_answer_length", max_answer_length, at_least=1)
        self.max_answer_length = max_answer_length

    def _config(self) -> dict[str, Any]:
        return {"num_labels": 2}  # start and end, whatever the checkpoint was trained for

    def logits(self, batch: Batch) -> Tensor:
        """[2, w, t], of each token as the first and as the last of the answer, in the precision of the forward pass."""
        reads = ("input_ids", "attention_mask", "token_type_ids")
        found = self.model(**{name: batch[name] for name in reads if name in batch})
        return torch.stack([found.start_logits, found.end_logits])

    def _masked(self, logits: Tensor, batch: Batch) -> Tensor:
        """Float32 logits [2, w, t] of the context's tokens and of the first token, which stands for "not here"."""
        possible = batch["start"] >= 0
        possible[:, 0] = True
        return logits.float().masked_fill(~possible, MASKED)

    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the answer's first and last token, the mean over both and over windows.

        As in SQuAD 1.1's usual training, a window without the whole answer has the first token ([CLS]) as its target.
        The question's tokens are left out: no answer is there, which few labels need not teach.
        """
        targets = torch.stack([batch["first"], batch["last"]])
        losses = F.cross_entropy(self._masked(logits, batch).flatten(0, 1), targets.flatten(), reduction="sum")
        return losses / self._count((targets != UNKNOWN).sum())

    def _best(self, logits: Tensor, batch: Batch) -> BestSpans:
        context, windows = batch["start"] >= 0, batch["windows"]
        scores = span_scores(logits[0], logits[1], context, self.max_answer_length)
        return best_spans(once_each(scores, context, windows, self.task.stride), windows)

    def evaluate(self, batch: Batch, metrics: AnswerScores) -> Tensor:
        """The loss; F1 and exact match of the best spans."""
        logits = self.logits(batch)
        best = self._best(logits, batch)
        starts, ends = (batch[side][best.window, place].tolist() for side, place in _sides(best))
        contexts = zip(batch["contexts"], starts, ends, strict=True)
        metrics.update([_cut_out(context, start, end)[0] for context, start, end in contexts], batch["answers"])
        return self.criterion(logits, batch)

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`start` and `end` int64 [b], characters of the context; `score` float32 [b], the best span's probability."""
        best = self._best(self.logits(batch), batch)
        return {
            **{side: batch[side][best.window, place] for side, place in _sides(best)},
            "score": best.probability,
        }

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """One forward pass; `mutual_information` adds `mc_samples` passes with dropout.

        The classes are right, p(best span), and wrong; margin and entropy are those of the spans, see `BestSpans`.
        The embedding is the mean over all tokens of all windows; `head_inputs` are the hidden states of the best
        span's first and last token, one after the other; `mutual_information` is that of the first token plus that of
        the last.
        """
        with self._recording() as seen:
            best = self._best(self.logits(batch), batch)
        weights = batch["attention_mask"].unsqueeze(-1)
        sums = of_rows((seen["hidden"].float() * weights).sum(1), batch["windows"], 0.0).sum(1)
        found = {
            "probabilities": torch.stack([best.probability, 1 - best.probability], dim=1),
            "margin": best.margin,
            "entropy": best.entropy * math.log(2),
            "max_probability": best.probability,
            "embeddings": F.normalize(sums, dim=-1).half(),
        }
        if "head_inputs" in needs:
            ends = [seen["head_inputs"][best.window, place] for _, place in _sides(best)]
            found["head_inputs"] = torch.cat(ends, dim=-1).half()
        if "mutual_information" in needs:
            found["mutual_information"] = self._mutual_information(lambda: self._of_rows(batch)).sum(-1)
        return found

    def _of_rows(self, batch: Batch) -> Tensor:
        """Float32 [b, 2, k · t], logits of all tokens of a row's windows."""
        logits = self._masked(self.logits(batch), batch).transpose(0, 1)
        return of_rows(logits, batch["windows"], MASKED).transpose(1, 2).flatten(2)


def _sides(best: BestSpans) -> tuple[tuple[str, Tensor], tuple[str, Tensor]]:
    """The characters where an answer starts and ends are those of its first and of its last token."""
    return ("start", best.first), ("end", best.last)


def _cut_out(context: str, start: int, end: int) -> tuple[str, int]:
    """The text from character `start` to `end`, without blanks around it, and where it starts."""
    text = context[max(start, 0) : max(end, 0)]
    return text.strip(), max(start, 0) + len(text) - len(text.lstrip())
