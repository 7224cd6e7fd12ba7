"""How all weights of a transformer are fine-tuned where labels are few: new top layers, slower bottom layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from lit_react.core.bounds import expect
from lit_react.core.errors import UserError


@dataclass
class FineTuning:
    """What steadies the fine-tuning of a model with one stack of layers; the defaults change nothing.

    Args:
        reinitialised_layers: so many of the top layers, and the pooler where there is one, start from random weights:
            they are the ones that pretraining's own objective shaped most (Zhang et al. 2021, Revisiting few-sample
            BERT fine-tuning, https://arxiv.org/abs/2006.05987, section 5). 0: the pooler alone; None: no weights.
        layer_decay: the top layer, and what lies above it, has the optimiser's learning rate; each layer below has
            that of the layer above it times this, the embeddings that of the lowest layer times this (Howard & Ruder
            2018, https://arxiv.org/abs/1801.06146, section 3.2; Zhang et al. 2021, section 2). 1: all learn alike.
    """

    reinitialised_layers: int | None = None
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        if self.reinitialised_layers is not None:
            expect("model.fine_tuning.reinitialised_layers", self.reinitialised_layers, at_least=0)
        expect("model.fine_tuning.layer_decay", self.layer_decay, above=0, at_most=1)

    def check(self, base: PreTrainedModel) -> None:
        """Whether the options fit a transformer.

        Args:
            base: without a head, as `reinitialise` and `by_layer` reach it; may be on the meta device.

        Raises:
            UserError: it has no single stack of layers, or fewer layers than `reinitialised_layers`.
        """
        _, layers = layers_of(base)
        if (self.reinitialised_layers or 0) > len(layers):
            raise UserError(
                f"model.fine_tuning.reinitialised_layers: {self.reinitialised_layers} is more than the {len(layers)} "
                f"layers of {type(base).__name__}"
            )

    @torch.no_grad()
    def reinitialise(self, base: PreTrainedModel) -> None:
        """Draw the weights of the top layers and of the pooler as the model's own class does, by torch's generator.

        Args:
            base: a transformer as it was loaded; changed.
        """
        if self.reinitialised_layers is None:
            return
        _, layers = layers_of(base)
        top = list(layers)[len(layers) - self.reinitialised_layers :]
        pooler = getattr(base, "pooler", None)
        for part in top if pooler is None else [*top, pooler]:
            for tensor in [*part.parameters(), *part.buffers()]:
                tensor._is_hf_initialized = False  # else transformers leaves what was loaded
            part.apply(base._init_weights)

    def by_layer(self, groups: list[dict[str, Any]], base: PreTrainedModel) -> list[dict[str, Any]]:
        """Split an optimiser's parameter groups, so that each holds weights of one learning rate.

        Args:
            groups: `params`, and options that every part of a group keeps.
            base: the transformer; a parameter that is not its own belongs to the head.

        Returns:
            with `lr_factor` in each, what the optimiser's learning rate is multiplied by.
        """
        factors = self.factors(base)
        parts = []
        for group in groups:
            of_factor: dict[float, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                of_factor.setdefault(factors.get(parameter, 1.0), []).append(parameter)
            parts += [{**group, "params": params, "lr_factor": factor} for factor, params in of_factor.items()]
        return parts

    def factors(self, base: PreTrainedModel) -> dict[nn.Parameter, float]:
        """What the learning rate of each of a transformer's parameters is multiplied by.

        Parameters outside the layers lie below them if they are embeddings or are registered before the layers, and
        above them else (poolers, last norms).
        """
        name, layers = layers_of(base)
        embeddings = {part.weight for part in base.modules() if isinstance(part, nn.Embedding)}
        factors: dict[nn.Parameter, float] = {}
        below = len(layers)
        for path, parameter in base.named_parameters():
            if path.startswith(f"{name}."):
                layer = int(path.removeprefix(f"{name}.").split(".")[0])
                factors[parameter] = self.layer_decay ** (len(layers) - 1 - layer)
                below = 0
            else:
                factors[parameter] = self.layer_decay ** (len(layers) if parameter in embeddings else below)
        return factors


def layers_of(base: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """A transformer's stack of layers, lowest first, and its name: the one outermost list as long as its config says.

    Raises:
        UserError: there is none (layers that share weights), or more than one (encoder and decoder).
    """
    depth = getattr(base.config, "num_hidden_layers", None)
    lists = [(n, m) for n, m in base.named_modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    outermost = [(n, m) for n, m in lists if not any(n.startswith(f"{other}.") for other, _ in lists)]
    if len(outermost) != 1:
        raise UserError(
            f"model.fine_tuning: expected a model with one stack of layers, {type(base).__name__} has {len(outermost)}"
        )
    return outermost[0]
