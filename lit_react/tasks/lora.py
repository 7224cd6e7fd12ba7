"""Low-rank adapters, so that a model of billions of weights is fitted by training some millions."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError
from lit_react.core.extras import check_installed
from lit_react.tasks.pretrained import load_model, skeleton

ADAPTERS = "adapter_model.safetensors"
"""File of an export that holds adapters and head alone; peft names it so."""


@dataclass
class LoRA:
    """Low-rank adaptation (Hu et al. 2022, https://openreview.net/forum?id=nZeVKeeFYf9): few weights are trained.

    A layer's W x becomes W x + alpha / rank · B A x. W stays as it is, in the checkpoint's own dtype; A is drawn at
    random, B is zero at first; both are float32. The task's head is trained in full. What a run exports is W + alpha /
    rank · B A, a model like any other; under `quantize` it is the adapters and the head.

    Args:
        rank: rows of A and columns of B.
        alpha: scale of what the adapters add, divided by the rank.
        dropout: on what goes into A. Many decoders have no other dropout: at 0 `mutual_information` is 0 there.
        target_modules: ends of names of the linear layers that are adapted (`q_proj`); None: all but the head.
        quantize: `4bit`, W is kept in 4 bits (NF4 with double quantisation: QLoRA, Dettmers et al. 2023,
            https://arxiv.org/abs/2305.14314) and computes in bfloat16; needs a CUDA GPU and bitsandbytes.
        gradient_checkpointing: compute activations a second time in the backward pass, for memory that grows slower
            with depth.
    """

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    target_modules: list[str] | None = None
    quantize: Literal["4bit"] | None = None
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        expect("model.lora.rank", self.rank, at_least=1)
        expect("model.lora.alpha", self.alpha, at_least=1)
        expect("model.lora.dropout", self.dropout, at_least=0, below=1)
        if self.target_modules == []:
            raise UserError("model.lora.target_modules: an empty list adapts nothing, expected names, or null for all")
        check_installed("peft", "model.lora", "lora")
        if self.quantize:
            check_installed("bitsandbytes", "model.lora.quantize", "4bit")
            if not torch.cuda.is_available():
                raise UserError("model.lora.quantize: 4bit needs a CUDA GPU, this machine has none; leave it null")

    def load(self, auto_class: Any, pretrained: str, **config: Any) -> PreTrainedModel:
        """As `load_model`, in the checkpoint's own dtype, or in 4 bits on this process's GPU."""
        if not self.quantize:
            return load_model(auto_class, pretrained, dtype="auto", **config)
        head = head_parts(skeleton(auto_class, pretrained))
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_skip_modules=head or None,  # None: transformers leaves out the output embeddings
        )
        place = {"": torch.cuda.current_device()} if torch.cuda.is_available() else None
        return load_model(
            auto_class, pretrained, dtype=torch.bfloat16, quantization_config=quantization, device_map=place, **config
        )

    def apply(self, model: PreTrainedModel) -> PreTrainedModel:
        """The same model, an `AutoModelFor…`, changed: adapters beside its linear layers, the rest frozen.

        The head is trained in full.

        Raises:
            UserError: `target_modules` names no linear layer.
        """
        from peft import LoraConfig

        head = head_parts(model)
        model.add_adapter(
            LoraConfig(
                r=self.rank,
                lora_alpha=self.alpha,
                lora_dropout=self.dropout,
                target_modules=self._adapted(model, head),
                modules_to_save=head or None,
            )
        )
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()  # small steps are lost in bfloat16
        for name in head:
            model.get_submodule(name).register_forward_pre_hook(_as_the_head)
        if self.gradient_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        return model

    def _adapted(self, model: PreTrainedModel, head: list[str]) -> list[str]:
        """Full names of the linear layers that get adapters."""
        output = model.get_output_embeddings()
        layers = [
            name
            for name, layer in model.named_modules()
            if isinstance(layer, nn.Linear | Conv1D) and layer is not output and name.split(".")[0] not in head
        ]
        if self.target_modules is None:
            return layers
        for end in self.target_modules:
            if not any(f".{name}".endswith(f".{end}") for name in layers):
                known = ", ".join(sorted({name.rpartition(".")[2] for name in layers}))
                raise UserError(
                    f"model.lora.target_modules: {type(model).__name__} has no linear layer {end!r}, expected {known}"
                )
        return [name for name in layers if f".{name}".endswith(tuple(f".{end}" for end in self.target_modules))]

    def exported(self, model: PreTrainedModel) -> PreTrainedModel:
        """What `save_pretrained` shall write: a copy with the adapters added to its weights, in the dtype of W.

        Under `quantize` the model itself, of which `save_pretrained` writes the adapters and the head: adding to
        weights of 4 bits would round what was learned.
        """
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils import ModulesToSaveWrapper

        if self.quantize:
            return model
        merged = copy.deepcopy(model)
        for name, part in list(merged.named_modules()):
            if isinstance(part, BaseTunerLayer):
                part.merge()
                merged.set_submodule(name, part.get_base_layer())
            elif isinstance(part, ModulesToSaveWrapper):
                merged.set_submodule(name, part.modules_to_save["default"].to(model.dtype))
        merged._hf_peft_config_loaded = False
        return merged

    def restore(self, model: PreTrainedModel, folder: Path) -> None:
        """Take adapters and head from a folder that was exported under `quantize`, into a model as `apply` made it.

        Raises:
            UserError: they are those of another model, or of other options.
        """
        from peft import set_peft_model_state_dict

        weights = {name.removeprefix("base_model.model."): w for name, w in load_file(folder / ADAPTERS).items()}
        try:
            loaded: Any = set_peft_model_state_dict(model, weights)
            unexpected = loaded.unexpected_keys
        except RuntimeError as error:
            unexpected = [str(error).splitlines()[-1].strip()]
        if unexpected:
            raise UserError(f"{folder}: fitted with another model.lora than the one given: {unexpected[0]}")


def head_parts(model: PreTrainedModel) -> list[str]:
    """Names of a model's parts that belong to the task: neither transformers in themselves nor (un)embeddings."""
    embeddings = {model.get_input_embeddings(), model.get_output_embeddings()}
    return [
        name
        for name, part in model.named_children()
        if not isinstance(part, PreTrainedModel)
        and embeddings.isdisjoint(part.modules())
        and any(True for _ in part.parameters())
    ]


def _as_the_head(part: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Hidden states of a transformer in bfloat16 in the dtype of the head."""
    dtype = next(part.modules_to_save.parameters()).dtype
    return tuple(x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
