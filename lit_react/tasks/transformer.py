"""The fine-tuning of one of transformers' own models, an `AutoModelFor…`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.data.embedding import sentence_embedding
from lit_react.data.encoding import Batch
from lit_react.tasks.base import CARD, TaskModule
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.lora import ADAPTERS, LoRA
from lit_react.tasks.optimisation import adamw_for_few_labels
from lit_react.tasks.pretrained import load_model, output_names, skeleton

log = logging.getLogger("lit_react")


class TransformerModule(TaskModule):
    """Fine-tunes one of transformers' own models and exports it as such.

    A subclass names its `auto_class`, says in `_config` what the checkpoint's configuration lacks, and has a
    `criterion`; what a row looks like to the acquisition follows from `certainty`.

    Args:
        task: see `TaskModule`.
        optimizer: builds the optimiser from the parameters, anew in each round; the default is AdamW, at a rate of 2e-4
            for models of up to 50 million parameters and 2e-5 for others.
        mc_samples: forward passes with dropout, where a strategy asks for a score that needs them (BALD's
            `mutual_information`).
        compile: compile the model with `torch.compile` (worth it on GPUs, with large pools).
        lora: train low-rank adapters and the head instead of all weights (`pip install -e ".[lora]"`); None: all
            weights.
        **options: see `Optimised`.
    """

    auto_class: ClassVar[Any]
    """Such as `AutoModelForSequenceClassification`."""

    task: EncoderTask

    def __init__(
        self,
        task: EncoderTask,
        optimizer: OptimizerCallable = adamw_for_few_labels,
        mc_samples: int = 10,
        compile: bool = False,
        lora: LoRA | None = None,
        **options: Any,
    ) -> None:
        super().__init__(task, optimizer=optimizer, **options)
        expect("model.mc_samples", mc_samples, at_least=2)  # of one, mutual information is 0
        self.mc_samples, self.compile_model, self.lora = mc_samples, compile, lora
        self._adapters: Path | None = None

    def build(self) -> None:
        """Load the pretrained weights."""
        self.model = self._loaded()
        self.model.config.pad_token_id = self.task.tokenizer.pad_token_id
        if self.compile_model:
            self.model.compile(dynamic=True)

    def _loaded(self) -> PreTrainedModel:
        options, pretrained = self._config(), self.task.pretrained
        if self.lora is None:
            model = load_model(self.auto_class, pretrained, **options)
        else:
            model = self.lora.load(self.auto_class, pretrained, **options)
        if "id2label" in options:
            match_outputs(model, output_names(pretrained), list(options["id2label"].values()))
        if self.lora is not None:
            model = self.lora.apply(model)
            if self._adapters is not None:
                self.lora.restore(model, self._adapters)
        return model

    def check(self) -> None:
        """See that the module can be fitted, and that the options of `lora` fit the checkpoint."""
        super().check()
        if self.lora is not None:
            self.lora.apply(skeleton(self.auto_class, self.task.pretrained))

    def _config(self) -> dict[str, Any]:
        """What `from_pretrained` is told beside the name; `named_outputs` serves a head of classes or tags."""
        return {}

    def logits(self, batch: Batch) -> Tensor:
        """What the model gives for `input_ids` and `attention_mask`, in the precision of the forward pass."""
        return self.model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits

    def certainty(self, logits: Tensor) -> dict[str, Tensor]:
        """The signals that float32 logits tell by themselves: `probabilities` [b, C], see `TaskModule.signals`."""
        return {"probabilities": logits.softmax(-1)}

    def embedding(self, hidden: Tensor, batch: Batch) -> Tensor:
        """What rows are compared by, float32 [b, d] of unit length, of last hidden states [b, t, h]."""
        return sentence_embedding(hidden, batch)

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """One forward pass; `mutual_information` adds `mc_samples` passes with dropout."""
        with self._recording() as seen:
            found = self.certainty(self.logits(batch).float())
        found["embeddings"] = self.embedding(seen["hidden"], batch).half()
        if "head_inputs" in needs:
            found["head_inputs"] = self._read_by_head(seen["head_inputs"], batch).half()
        if "mutual_information" in needs:
            found["mutual_information"] = self._mutual_information(lambda: self.logits(batch))
        return found

    def _read_by_head(self, states: Tensor, batch: Batch) -> Tensor:
        """[b, h]; of a decoder's [b, t, h] those of the last token that is none of padding, as transformers has it."""
        if states.ndim == 2:
            return states
        written = (batch["input_ids"] != self.task.tokenizer.pad_token_id).int()
        places = torch.arange(written.shape[1], device=written.device)
        return states[torch.arange(len(states), device=states.device), (written * places).argmax(1)]

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
        """BALD by Monte-Carlo dropout (Gal et al. 2017): H(mean p) − mean H(p), in nats, float32 [...].

        `logits` is a forward pass, [..., C]; it is called `mc_samples` times with dropout.
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
        self._save_tokenizer(folder)

    def _save_tokenizer(self, folder: Path) -> None:
        """A pipeline with `truncation=True` cuts where `predict` does."""
        self.task.tokenizer.model_max_length = self.task.max_length
        self.task.tokenizer.save_pretrained(folder)

    def card(self) -> dict[str, Any]:
        """Beside the task and its labels: what the folder lacks of a model in 4 bits."""
        if self.lora is None or not self.lora.quantize:
            return super().card()
        return super().card() | {
            "weights": "adapters and head; the rest is the checkpoint's, in 4 bits: "
            "from_pretrained(this folder, num_labels=…) with peft installed, or lit_react predict",
            "checkpoint": self.task.pretrained,
        }

    def _restore_weights(self, folder: Path) -> None:
        if not (folder / ADAPTERS).is_file():
            self.task = self.task.start_from(str(folder))
            return
        if self.lora is None or not self.lora.quantize:
            raise UserError(f"{folder}: adapters of a 4-bit model lie there, expected the model.lora of their fit")
        self.task = self.task.start_from(json.loads((folder / CARD).read_text())["checkpoint"])
        self._adapters = folder


def last_layer(model: PreTrainedModel) -> nn.Linear:
    """The last linear layer with an output for each of the model's classes."""
    outputs = model.config.num_labels
    return [part for part in model.modules() if isinstance(part, nn.Linear) and part.out_features == outputs][-1]


def match_outputs(model: PreTrainedModel, trained: list[str], names: list[str]) -> None:
    """See that no class inherits what a checkpoint learned for another: `from_pretrained` goes by position alone.

    Where the checkpoint knew the same names in another order, be it in capitals, its last layer follows them; where it
    knew as many others, that layer is new. `trained` are the checkpoint's own names of its outputs, `names` those of
    the data; `LABEL_0` … are no names: of those the order is believed.
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
