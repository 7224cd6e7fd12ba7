"""Classification by a head of our own on a pretrained encoder."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from lit_react.data.encoding import Batch
from lit_react.tasks.pretrained import MINILM
from lit_react.tasks.text_classification import TextClassification

HEAD_FILE = "head.safetensors"


class HeadOnEncoder(nn.Module):
    """A linear layer, after dropout, over features of the encoder's last hidden states.

    A subclass says what the `num_features` features are, and may make them by layers of its own.
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
        **options: see `TextClassification`.
    """

    head_class: ClassVar[type[HeadOnEncoder]]
    """Built of the encoder and the number of classes."""

    model: HeadOnEncoder  # type: ignore[assignment]

    def __init__(self, pretrained: str = MINILM, **options: Any) -> None:
        super().__init__(pretrained, lora=None, **options)

    def build(self) -> None:
        """Load the pretrained weights below a new head."""
        self.model = self.head_class(self.task.encoder(), len(self.names))  # type: ignore[call-arg]
        if self.compile_model:
            self.model.compile(dynamic=True)

    def _head(self) -> nn.Linear:
        return self.model.head

    def logits(self, batch: Batch) -> Tensor:
        """[b, C], in the precision of the forward pass."""
        return self.model(batch)

    def _export_weights(self, folder: Path) -> None:
        """Encoder and tokenizer in `encoder/`, which `AutoModel` reads; weight and bias of the head beside it.

        Layers that a head has beside its last one are there under their own names.
        """
        self.model.base_model.save_pretrained(folder / "encoder")
        self._save_tokenizer(folder / "encoder")
        weights = self.model.state_dict().items()
        above = {name.removeprefix("head."): w for name, w in weights if not name.startswith("base_model.")}
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in above.items()}, folder / HEAD_FILE)

    def _restore_weights(self, folder: Path) -> None:
        self.task = self.task.start_from(str(folder / "encoder"))
        self.configure_model()
        above = {name if "." in name else f"head.{name}": w for name, w in load_file(folder / HEAD_FILE).items()}
        encoder = {f"base_model.{name}": w for name, w in self.model.base_model.state_dict().items()}
        self.model.load_state_dict(encoder | above)
