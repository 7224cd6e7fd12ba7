"""Trained policies on disk: weights as safetensors, and a card that says where they come from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as serialised

from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.q_network import QNetwork
from lit_react.core.errors import UserError
from lit_react.core.files import write_atomically, write_json

SHIPPED = Path(__file__).parent / "shipped"
"""The policy that comes with the package."""


@dataclass(frozen=True)
class PretrainedPolicy:
    """What simulation taught."""

    q_network: QNetwork  # its values are in points (hundredths of the metric)
    # float32 [S + 1], linear in the state features (and 1): the reward in points that the default rule brings on
    # average. The guard's yardstick, independent of the network
    expected_gain: torch.Tensor
    card: dict[str, Any]  # JSON: command, version, sources, features, options, seed, measured results

    def save(self, folder: Path) -> None:
        """Write `policy.safetensors`, then `policy.json`."""
        tensors = {name: tensor.contiguous() for name, tensor in self.q_network.state_dict().items()}
        write_atomically(folder / "policy.safetensors", serialised(tensors | {"expected_gain": self.expected_gain}))
        features = {"state_features": list(STATE_FEATURES), "sample_features": list(SAMPLE_FEATURES)}
        write_json(folder / "policy.json", self.card | features)

    @classmethod
    def load(cls, folder: Path) -> PretrainedPolicy:
        """Read a policy's folder; a `UserError` where it is none, is damaged, or knows other features."""
        try:
            card = dict(json.loads((folder / "policy.json").read_text()))
            for kind, here in (("state_features", STATE_FEATURES), ("sample_features", SAMPLE_FEATURES)):
                if card.get(kind) != list(here):
                    raise UserError(
                        f"{folder}: the policy was trained on other {kind}; train it again with this version"
                    )
            tensors = load_file(folder / "policy.safetensors")
            expected_gain = tensors.pop("expected_gain").reshape(len(STATE_FEATURES) + 1)
            members, _, hidden = tensors["weights.0"].shape
            network = QNetwork(
                len(STATE_FEATURES), len(SAMPLE_FEATURES), members=members, hidden=hidden, generator=torch.Generator()
            )
            network.load_state_dict(tensors)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            told = " ".join(f"{type(error).__name__}: {error}".split())
            raise UserError(f"{folder}: no policy ({told}); expected a folder that `simulate` wrote") from error
        return cls(network, expected_gain, card)
