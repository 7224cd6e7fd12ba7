"""One step of pretraining: masked language modelling, and next-sentence prediction where there are pairs."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from lit_react.core.errors import UserError
from lit_react.data.encoding import Batch
from lit_react.pretraining.encoders import head_sees
from lit_react.pretraining.masking import IGNORED
from lit_react.pretraining.options import Training
from lit_react.tasks.optimisation import Optimised

WEIGHT_DECAY = 0.01
"""Of all weights but biases and norms."""


class Pretraining(Optimised):
    """Trains an encoder and its heads; the loss is the sum of both, each a mean in float32 over all processes' rows.

    The seed is that of dropout, together with the step and the process.

    Attributes:
        losses: of each step so far, `(mlm, pairs)`; nan for a batch without pairs.
        validations: of each validation so far, `step` and what `validation_step` measures.
    """

    def __init__(self, model: PreTrainedModel, options: Training, seed: int) -> None:
        super().__init__(
            lambda groups: torch.optim.AdamW(groups, lr=options.learning_rate, weight_decay=WEIGHT_DECAY, fused=True),
            "linear",
            options.warmup,
        )
        self.model, self.training_options, self.seed = model, options, seed
        self.losses: list[tuple[float, float]] = []
        self.validations: list[dict[str, float]] = []
        self._recent: list[Tensor] = []
        self._sums = torch.zeros(6)

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Of the chosen places, [m, v] in the order of `labels` flattened; of the pairs, [b, 2] or None."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in batch}
        with head_sees(self.model, batch["labels"] != IGNORED):
            outputs = self.model(**inputs)
        tokens = outputs.prediction_logits if "prediction_logits" in outputs else outputs.logits
        pairs = outputs.seq_relationship_logits if "pair_labels" in batch else None
        return tokens.flatten(0, 1), pairs

    def _measure(self, batch: Batch) -> Tensor:
        """Sum of losses, number of right ones, number of all: of the chosen tokens, then of the pairs; [6]."""
        tokens, pairs = self.logits(batch)
        measured = [*_score(tokens, batch["labels"][batch["labels"] != IGNORED])]
        if pairs is None:
            return torch.stack([*measured, *(tokens.new_zeros((), dtype=torch.float32),) * 3])
        known = batch["pair_labels"] != IGNORED
        return torch.stack([*measured, *_score(pairs[known], batch["pair_labels"][known])])

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Dropout is a function of the step and the process: a resumed run drops what an unbroken one drops."""
        torch.manual_seed((self.seed + 1009 * self.global_rank) * 1_000_003 + self.global_step)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Loss of tokens and pairs together: the gradient's mean over the processes is that of the whole batch."""
        sums = self._measure(batch)
        every = self._of_all(sums)
        counts = every[[2, 5]].clamp(min=1)
        losses = every[[0, 3]] / counts
        self._recent.append(torch.cat([losses, every[5:]]))
        self.log("train/mlm_loss", losses[0], batch_size=len(batch["labels"]), prog_bar=True)
        if "pair_labels" in batch and every[5]:
            self.log("train/pair_loss", losses[1], batch_size=len(batch["labels"]))
        return self.trainer.world_size * (sums[[0, 3]] / counts).sum()

    def _of_all(self, sums: Tensor) -> Tensor:
        """The sums over all processes; no gradient flows into them."""
        return cast(Tensor, self.trainer.strategy.reduce(sums.detach().clone(), reduce_op="sum"))

    def on_train_epoch_end(self) -> None:
        """Take the losses of a stretch, before the checkpoint; a `UserError` where one is no number any more."""
        recent = torch.stack(self._recent).tolist() if self._recent else []
        self.losses += [(mlm, nsp if pairs else math.nan) for mlm, nsp, pairs in recent]
        self._recent = []
        if recent and not torch.isfinite(torch.tensor(recent)).all():
            raise UserError(
                f"the training loss became {recent[-1][0]} before step {self.global_step}: "
                "lower training.learning_rate or set training.precision 32-true or bf16-mixed"
            )

    def on_validation_epoch_start(self) -> None:
        """Nothing measured yet."""
        self._sums = torch.zeros(6, device=self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Sums over tokens and pairs, so that every token counts alike."""
        self._sums += self._measure(batch)

    def on_validation_epoch_end(self) -> None:
        """Keep and log `mlm_loss` (nats), `mlm_accuracy`, and of pairs `pair_loss`, `pair_accuracy`."""
        sums = self._of_all(self._sums).tolist()
        measured: dict[str, float] = {}
        for name, (loss, right, count) in (("mlm", sums[:3]), ("pair", sums[3:])):
            if count:
                measured |= {f"{name}_loss": loss / count, f"{name}_accuracy": right / count}
        self.validations.append({"step": self.global_step, **measured})
        self.log_dict({f"val/{name}": value for name, value in measured.items()})

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The curves so far, as plain numbers."""
        checkpoint["curves"] = {"losses": self.losses, "validations": self.validations}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """The curves so far."""
        self.losses = list(checkpoint["curves"]["losses"])
        self.validations = list(checkpoint["curves"]["validations"])


def _score(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of the cross-entropies, number of right ones, number of all, in float32: [n, c], int64 [n] → 3 scalars."""
    logits = logits.float()
    right = (logits.argmax(-1) == labels).sum().float()
    return F.cross_entropy(logits, labels, reduction="sum"), right, logits.new_tensor(len(labels))
