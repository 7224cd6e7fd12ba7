"""Classification by a head of our own on a pretrained encoder."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_react.data.encoding import Batch
from lit_react.tasks.fine_tuning import FineTuning
from lit_react.tasks.optimisation import Schedule
from lit_react.tasks.text_classification import TextClassification
from lit_react.tasks.transformer import MINILM

HEAD_FILE = "head.safetensors"


class HeadOnEncoder(nn.Module):
    """A linear layer, after dropout, over features of the encoder's last hidden states.

    Args:
        encoder: a pretrained model.
        num_features: what `features` gives of a row.
        num_labels: number of classes C.
    """

    def __init__(self, encoder: PreTrainedModel, num_features: int, num_labels: int) -> None:
        super().__init__()
        self.base_model = encoder
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler.requires_grad_(False)  # no part of the head: processes would wait for its gradient
        self.dropout = nn.Dropout(getattr(encoder.config, "hidden_dropout_prob", 0.1))
        self.head = nn.Linear(num_features, num_labels)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    @abstractmethod
    def features(self, hidden: Tensor, batch: Batch) -> Tensor:
        """What the head reads of the hidden states [b, t, h]: [b, num_features]."""

    def forward(self, batch: Batch) -> Tensor:
        """Logits [b, C] of `input_ids` and `attention_mask`, int64 [b, t]."""
        hidden = self.base_model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]
        return self.head(self.dropout(self.features(hidden, batch)))


class EncoderClassification(TextClassification):
    """Fine-tune a pretrained encoder, all weights, with a head that no class of transformers has.

    The exported folder has the encoder and the tokenizer in `encoder/` and the head in `head.safetensors`; `predict`
    reads it, no `pipeline` does.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each class id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens, special ones included.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: `linear`, `cosine`, `constant_with_warmup`, or `plateau` (driven by the validation metric).
        warmup: share of the steps in which the learning rate rises from 0.
        class_weights: `balanced` weighs each class's loss by 1 / its frequency among the labels bought so far; not what
            augmentation adds to it.
        mc_samples: forward passes with dropout for BALD's mutual information, where a strategy needs it.
        compile: compile the model with `torch.compile` (worth it on GPUs, with large pools).
        fine_tuning: new top layers and learning rates by layer, for few labels; None: neither.
    """

    head_class: ClassVar[type[HeadOnEncoder]]
    """Built of the encoder and the number of classes."""

    model: HeadOnEncoder  # type: ignore[assignment]

    def __init__(
        self,
        pretrained: str = MINILM,
        label_names: list[str] | None = None,
        max_length: int = 128,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=2e-5, weight_decay=0.01, fused=True),
        lr_scheduler: Schedule = "linear",
        warmup: float = 0.1,
        class_weights: Literal["none", "balanced"] = "none",
        mc_samples: int = 10,
        compile: bool = False,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        super().__init__(
            pretrained,
            label_names,
            max_length,
            optimizer,
            lr_scheduler,
            warmup,
            class_weights,
            mc_samples=mc_samples,
            compile=compile,
            fine_tuning=fine_tuning,
        )

    def configure_model(self) -> None:
        """Load the pretrained weights, once per module."""
        if hasattr(self, "model"):
            return
        self.model = self.head_class(self._encoder(), len(self.names))  # type: ignore[call-arg]
        self._reinitialise()
        if self.compile_model:
            self.model.compile(dynamic=True)
        self._build_metrics()

    def _head(self) -> nn.Linear:
        return self.model.head

    def logits(self, batch: Batch) -> Tensor:
        """[b, C], in the precision of the forward pass."""
        return self.model(batch)

    def _export_weights(self, folder: Path) -> None:
        """Encoder and tokenizer in `encoder/`, which `AutoModel` reads; weight and bias of the head beside it."""
        self.model.base_model.save_pretrained(folder / "encoder")
        self.tokenizer.model_max_length = self.max_length
        self.tokenizer.save_pretrained(folder / "encoder")
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in self.model.head.state_dict().items()}
        save_file(head, folder / HEAD_FILE)

    def _restore_weights(self, folder: Path) -> None:
        self.pretrained = str(folder / "encoder")
        self.configure_model()
        self.model.head.load_state_dict(load_file(folder / HEAD_FILE))
