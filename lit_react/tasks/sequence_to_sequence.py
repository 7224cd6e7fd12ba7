"""Fine-tune any encoder-decoder that writes one text from another; translation and summarisation are two such tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from lightning.pytorch.cli import OptimizerCallable
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForSeq2SeqLM, LogitsProcessorList, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from lit_react.annotation.answers import Label
from lit_react.annotation.costs import TokenCost
from lit_react.core.bounds import expect
from lit_react.data.encoding import REACH, Batch, EncodedTable, cache_folder, tokenize
from lit_react.data.tables import Source, Split
from lit_react.data.text_pairs import read_pairs, texts_of
from lit_react.tasks.encoder_task import EncoderTask
from lit_react.tasks.generation_metrics import bleu_variance
from lit_react.tasks.hypotheses import TokenConfidence, mean_over, until_end
from lit_react.tasks.pretrained import load_model, most_tokens, skeleton
from lit_react.tasks.transformer import TransformerModule

IGNORED = -100
"""Label of a place that no loss reads, as transformers has it."""
OF_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff")
OF_BEAMS = ("early_stopping", "length_penalty")
"""What a checkpoint may say of a search that is not done here: transformers saves no such contradictions."""


@dataclass(frozen=True)
class WritingTask(EncoderTask):
    """Texts to be written from other texts; for the options, see `SequenceToSequence`.

    A *label* is the text to write, or a list of such texts: the first trains, all of them are references.
    """

    has_classes = False
    answer_form = "text"
    default_cost = TokenCost()

    max_target_length: int = 64
    prefix: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        expect("model.max_target_length", self.max_target_length, at_least=2)

    @property
    def bleu_tokenizer(self) -> str:
        """SacreBLEU's name of what cuts a text into words."""
        return "13a"

    @property
    def names(self) -> list[str]:
        """A text is no class: there are no names."""
        return []

    def check(self) -> None:
        """Whether the decoder has a place for `max_target_length` tokens, too."""
        super().check()
        most = most_tokens(skeleton(AutoModelForSeq2SeqLM, self.pretrained).get_decoder())
        if most is not None:
            expect("model.max_target_length", self.max_target_length, at_most=most)

    def source(self, tables: Mapping[str, Split], text: str, label: str, names: list[str] | None) -> Source:
        """Sources and targets, see `read_pairs`."""
        return read_pairs(tables, text, label)

    def parse(self, answer: Any, row: dict[str, Any]) -> Label:
        """A text, or a list of texts."""
        texts = texts_of(answer) if isinstance(answer, str | list) else []
        if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
            raise ValueError(f"label {answer!r}: expected a text, or a list of texts")
        return answer

    def describe(self, row: dict[str, Any], label: Label) -> tuple[str, str]:
        """Source and first text."""
        return row["text"], texts_of(label)[0]

    def encode(self, table: datasets.Dataset) -> EncodedTable:
        """Token ids of the sources, in an Arrow file; targets wait for their purchase."""
        if self.prefix:
            texts = table.select_columns(["text"]).with_format("arrow")[:]["text"]
            prefixed = pc.binary_join_element_wise(pa.scalar(self.prefix, texts.type), texts, pa.scalar("", texts.type))
            table = datasets.Dataset(pa.table({"text": prefixed}))
        options: dict[str, Any] = {"max_length": self.max_length, "cache": cache_folder()}
        return tokenize(table, self.tokenizer, targets=self._encode_targets, **options)

    def sizes(self, table: datasets.Dataset, encoded: EncodedTable) -> NDArray[np.int64]:
        """int64 [n], tokens of each source, the prefix left out: nobody reads it."""
        return encoded.lengths - len(self.tokenizer(self.prefix.rstrip(), add_special_tokens=False)["input_ids"])

    def _encode_targets(self, labels: Sequence[Label]) -> Batch:
        """`labels` int64 [b, t], the tokens of each row's first target; `references`, all its targets."""
        references = [texts_of(label) for label in labels]
        encoded = self.tokenizer(
            text_target=[texts[0][: REACH * self.max_target_length] for texts in references],
            truncation=True,
            max_length=self.max_target_length,
            padding=True,
            padding_side="right",
            return_tensors="pt",
        )
        targets = encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, IGNORED)
        return {"references": references, "labels": targets}

    def encoder(self) -> PreTrainedModel:
        """The pretrained encoder alone."""
        return load_model(AutoModelForSeq2SeqLM, self.pretrained).get_encoder()

    def prediction(self, output: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
        """`text`, `label` (the hypothesis) and `probability`."""
        probability = round(float(output["probability"]), 6)
        return {"text": row["text"], "label": output["hypothesis"], "probability": probability}


class SequenceToSequence(TransformerModule):
    """Fine-tune a pretrained encoder-decoder, all weights.

    A *hypothesis* is the text that the model writes, the most probable token at a time or by beam search. The signals'
    C = 2 classes sum a hypothesis up: its normalised sequence probability, and the rest of 1.

    transformers 5 has no pipeline for such models. An exported folder says how it generates, so that
    `AutoModelForSeq2SeqLM.from_pretrained(folder).generate(**tokenizer(prefix + text, return_tensors="pt"))` writes
    what `predict` does.

    Args:
        pretrained: a folder, a hub name (`t5-small`, `facebook/bart-base`), or `package:NAME/FOLDER`.
        max_length: sources are cut at so many tokens.
        max_target_length: targets are cut at so many tokens, hypotheses end there.
        num_beams: width of the beam search of validation, test and predictions; 1: greedy, as the signals always are.
        prefix: comes before each source, as T5's checkpoints need it (`summarize: `).
        optimizer: builds the optimiser from the parameters, anew in each round.
        mc_samples: passes with dropout, where a strategy asks for a score that needs them.
        **options: see `TransformerModule`.
    """

    auto_class = AutoModelForSeq2SeqLM
    offers = frozenset({"expected_sequence_probability", "bleu_variance"})
    task_class: ClassVar[type[WritingTask]]
    task: WritingTask

    def __init__(
        self,
        pretrained: str,
        max_length: int = 512,
        max_target_length: int = 64,
        num_beams: int = 1,
        prefix: str = "",
        optimizer: OptimizerCallable = lambda p: torch.optim.AdamW(p, lr=5e-5, weight_decay=0.01, fused=True),
        mc_samples: int = 5,
        **options: Any,
    ) -> None:
        expect("model.num_beams", num_beams, at_least=1)
        task = self.task_class(pretrained, max_length, max_target_length, prefix)
        super().__init__(task, optimizer=optimizer, mc_samples=mc_samples, compile=False, **options)
        self.num_beams = num_beams

    def build(self) -> None:
        """Load the pretrained weights, and say how they generate, in an exported folder too."""
        super().build()
        self.model.generation_config.update(**self._generation())

    def _generation(self) -> dict[str, Any]:
        """How texts are generated, where it differs from what the checkpoint says (`GenerationConfig`)."""
        return {
            "do_sample": False,
            "num_beams": self.num_beams,
            "max_new_tokens": self.task.max_target_length,
            "max_length": None,
            "min_length": 0,  # checkpoints for news articles have 56
            "forced_eos_token_id": None,
            "num_return_sequences": None,
            **dict.fromkeys(OF_SAMPLING if self.num_beams > 1 else OF_SAMPLING + OF_BEAMS),
        }

    def loss(self, batch: Batch) -> Tensor:
        """See `criterion`."""
        return self.criterion(self._encode(batch), batch)

    def evaluate(self, batch: Batch, metrics: Any) -> Tensor:
        """Scores of the hypotheses; the loss is that of the first texts."""
        states = self._encode(batch)
        metrics.update(self._texts(self._generate(batch, states)), batch["references"])
        return self.criterion(states, batch)

    def outputs(self, batch: Batch) -> dict[str, Any]:
        """`hypothesis`, and `probability` float32 [b], its normalised sequence probability."""
        states = self._encode(batch)
        sequences = self._generate(batch, states)
        return {"hypothesis": self._texts(sequences), "probability": self._probability(batch, states, sequences)}

    def signals(self, batch: Batch, needs: frozenset[str]) -> dict[str, Tensor]:
        """Those of the greedy hypothesis, from the pass that writes it; scores on demand add `mc_samples` passes.

        `max_probability` is the normalised sequence probability exp(mean log p), `margin` the mean difference of the
        two most probable tokens, `entropy` the mean entropy of a token as a share of log V, times log C. On demand:
        `expected_sequence_probability`, 1 - the mean probability of the hypothesis under dropout (Wang et al. 2019,
        "Improving Back-Translation with Uncertainty-based Confidence Estimation"; ENSP of Tsvigun et al. 2022); and
        `bleu_variance`, see the function of that name, of hypotheses that were written under dropout.
        """
        states, confidence = self._encode(batch), TokenConfidence()
        watched = LogitsProcessorList([confidence])
        sequences = self._generate(batch, states, num_beams=1, logits_processor=watched)
        log_p, entropy, margin = confidence.means(self._chosen(sequences))
        probability = log_p.exp()
        found = {
            "probabilities": torch.stack([probability, 1 - probability], dim=1),
            "embeddings": self.embedding(states, batch).half(),
            "max_probability": probability,
            "margin": margin,
            "entropy": entropy * math.log(2),
        }
        if "expected_sequence_probability" in needs:
            found["expected_sequence_probability"] = self._expected(batch, sequences)
        if "bleu_variance" in needs:
            found["bleu_variance"] = self._bleu_variance(batch)
        return found

    def _expected(self, batch: Batch, sequences: Tensor) -> Tensor:
        with self._dropout():
            samples = [self._probability(batch, self._encode(batch), sequences) for _ in range(self.mc_samples)]
        return 1 - torch.stack(samples).mean(0)

    def _bleu_variance(self, batch: Batch) -> Tensor:
        cached = self.lora is None or not self.lora.gradient_checkpointing  # which drops what a cache holds
        with self._dropout():
            samples = [
                self._texts(self._generate(batch, self._encode(batch), num_beams=1, use_cache=cached))
                for _ in range(self.mc_samples)
            ]
        variances = [bleu_variance(texts, self.task.bleu_tokenizer) for texts in zip(*samples, strict=True)]
        return torch.tensor(variances, dtype=torch.float32, device=self.device)

    def _encode(self, batch: Batch) -> Tensor:
        """Hidden states of the sources, [b, t, d]."""
        return self.model.get_encoder()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])[0]

    def _decode(self, batch: Batch, states: Tensor, **targets: Tensor) -> Any:
        """One pass of the decoder over given tokens."""
        encoded = BaseModelOutput(last_hidden_state=states)
        return self.model(encoder_outputs=encoded, attention_mask=batch["attention_mask"], **targets, use_cache=False)

    def criterion(self, logits: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the target's tokens, their mean over the batch; for logits, the states of the sources."""
        tokens = (batch["labels"] != IGNORED).sum()
        return self._decode(batch, logits, labels=batch["labels"]).loss.float() * tokens / self._count(tokens)

    def _generate(self, batch: Batch, states: Tensor, **options: Any) -> Tensor:
        """Token ids int64 [b, 1 + t], the decoder's start token first, padded after the end."""
        encoded = BaseModelOutput(last_hidden_state=states)  # its own: beam search widens it in place
        generate: Any = self.model.generate
        return generate(encoder_outputs=encoded, attention_mask=batch["attention_mask"], **options)

    def _texts(self, sequences: Tensor) -> list[str]:
        return [text.strip() for text in self.task.tokenizer.batch_decode(sequences, skip_special_tokens=True)]

    def _probability(self, batch: Batch, states: Tensor, sequences: Tensor) -> Tensor:
        """Normalised sequence probability exp(mean log p) of generated sequences, float32 [b]."""
        logits = self._decode(batch, states, decoder_input_ids=sequences[:, :-1]).logits.float()
        log_p = -F.cross_entropy(logits.transpose(1, 2), sequences[:, 1:], reduction="none")
        return mean_over(self._chosen(sequences), log_p).exp()

    def _chosen(self, sequences: Tensor) -> Tensor:
        """The tokens that the model chose, bool [b, t]: to the end, without a first one that is prescribed."""
        settings = self.model.generation_config
        chosen = until_end(sequences[:, 1:], settings.eos_token_id)
        if settings.forced_bos_token_id is not None:
            chosen[:, 0] = False
        return chosen
