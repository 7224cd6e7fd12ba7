"""More pretraining of the encoder on the pool's own texts, before the first round."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import torch

from lit_react.core.errors import UserError
from lit_react.core.processes import UNTIL_THE_END, files_of_first, is_first_process
from lit_react.data.encoding import text_digest
from lit_react.data.task import Task
from lit_react.pretraining.corpus import each_once, hold_out
from lit_react.pretraining.encoders import check_objectives, pretrained_encoder, pretrained_tokenizer
from lit_react.pretraining.options import Objective, Training, made_of
from lit_react.pretraining.pretrain import is_finished, learn
from lit_react.tasks.encoder_task import EncoderTask

log = logging.getLogger("lit_react")


@dataclass
class PoolPretraining:
    """Task-adaptive pretraining (Gururangan et al. 2020, https://aclanthology.org/2020.acl-main.740, section 4).

    The encoder reads the pool's texts, labeled or not, each once (see `Task.running_text`); those of
    validation and test only where the pool has a copy of one, which `fit` tells. All rounds start from what comes of
    it, and the strategies' embeddings are its own; initial labels that are chosen by embeddings
    (`data.initial: representative`) are chosen by the checkpoint's.

    Args:
        objective: what is learned; without next sentences unless asked for.
        training: how it is learned, by all processes of the run.
        held_out: so many texts of the pool are not trained on here; loss and accuracy are measured on them.
    """

    objective: Objective = field(default_factory=lambda: Objective(next_sentence=False))
    training: Training = field(default_factory=Training)
    held_out: int = 50

    def check(self, task: Task, pool: datasets.Dataset) -> None:
        """See, before anything is bought, that the encoder has the heads and enough to read; else a `UserError`."""
        if not isinstance(task, EncoderTask):
            raise UserError(f"pretraining: {type(task).__name__} starts from no pretrained model; leave it null")
        check_objectives(task.pretrained, next_sentence=self.objective.next_sentence)
        texts = len(each_once(task.running_text(pool)))
        if not 1 <= self.held_out < texts:
            raise UserError(
                f"pretraining.held_out: {self.held_out}, expected 1 or more, and fewer than the pool's {texts} texts"
            )

    def run(self, folder: Path, task: Task, pool: datasets.Dataset, seed: int) -> EncoderTask:
        """Pretrain on the pool's rows, or go on, or take what is there; gives the task that starts from `folder/model`.

        Several processes pretrain together, see `pretrain`. A `UserError` says that the folder is of another
        pretraining, that examples are longer than the model's positions, …
        """
        assert isinstance(task, EncoderTask), "see check"
        texts = each_once(task.running_text(pool))
        begun = {
            "pool": text_digest(texts),
            "pretrained": task.pretrained,
            **made_of(self.objective, self.training),
            "held_out": self.held_out,
            "seed": seed,
        }

        if not is_finished(folder, begun):
            if is_first_process():
                log.info("pretraining: %d steps on the pool's texts", self.training.steps)
            rows = np.random.default_rng([seed, 2**31 + 1]).permutation(len(texts))
            parts = hold_out(texts, rows, self.held_out)
            torch.manual_seed(seed)  # of new heads
            encoder = pretrained_tokenizer(task.pretrained), pretrained_encoder(task.pretrained)
            learn(folder, parts, encoder, self.objective, self.training, seed, begun)
        return task.start_from(str(UNTIL_THE_END.enter_context(files_of_first(folder / "model"))))
