"""Heads, tokenizers, and that the head sees the chosen places only."""

import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    ModernBertConfig,
    RobertaConfig,
)

from lit_react.core.errors import UserError
from lit_react.pretraining.encoders import bert_config, check_objectives, new_bert, pretrained_encoder, train_tokenizer
from lit_react.pretraining.masking import IGNORED
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.options import Training

SMALL = {"vocab_size": 90, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
DISTIL = {"vocab_size": 90, "dim": 16, "n_heads": 2, "n_layers": 1, "hidden_dim": 32}
CONFIGS = {
    "bert": BertConfig(**SMALL),
    "roberta": RobertaConfig(**SMALL),
    "distilbert": DistilBertConfig(**DISTIL),
    "albert": AlbertConfig(**SMALL, embedding_size=8),
    "modernbert": ModernBertConfig(
        **SMALL, pad_token_id=1, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3
    ),
}


def a_batch(pairs: bool) -> dict[str, torch.Tensor]:
    ids = torch.randint(5, 90, (4, 12), generator=torch.Generator().manual_seed(0))
    labels = torch.full((4, 12), IGNORED)
    labels[:, [2, 5]] = ids[:, [2, 5]]
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
    batch["attention_mask"][0, 8:] = 0
    if pairs:
        batch |= {"token_type_ids": (torch.arange(12) > 6).long().expand(4, 12)}
        batch |= {"pair_labels": torch.tensor([0, 1, IGNORED, 1])}
    return batch


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_loss_is_that_of_transformers_over_all_places(kind, tmp_path) -> None:
    CONFIGS[kind].save_pretrained(tmp_path)
    AutoModelForMaskedLM.from_config(CONFIGS[kind]).save_pretrained(tmp_path)
    model = pretrained_encoder(str(tmp_path)).eval()
    batch = a_batch(pairs=kind == "bert")
    sums = Pretraining(model, Training(), 0)._measure(batch)
    inputs = {name: part for name, part in batch.items() if "labels" not in name}
    outputs = model(**inputs)
    logits = outputs.prediction_logits if kind == "bert" else outputs.logits
    expected = F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), reduction="sum")
    torch.testing.assert_close(sums[0], expected)
    assert sums[2] == 8
    if kind == "bert":
        expected = F.cross_entropy(outputs.seq_relationship_logits, batch["pair_labels"], reduction="sum")
        torch.testing.assert_close(sums[3], expected)
        assert sums[5] == 3


def test_a_new_head_ends_in_the_input_embeddings(tiny_bert) -> None:
    model = pretrained_encoder(tiny_bert)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    batch = {name: part % 60 if name == "input_ids" else part for name, part in a_batch(pairs=True).items()}
    sums = Pretraining(model, Training(), 0)._measure(batch)
    (sums[0] + sums[3]).backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_the_encoder_under_the_heads_is_the_pretrained_one(tiny_bert) -> None:
    plain, model = AutoModel.from_pretrained(tiny_bert), pretrained_encoder(tiny_bert)
    assert model.training
    for name, tensor in plain.state_dict().items():
        assert torch.equal(model.base_model.state_dict()[name], tensor), name


def test_objectives_that_a_type_has_no_head_for_are_refused(tmp_path) -> None:
    RobertaConfig(**SMALL).save_pretrained(tmp_path / "roberta")
    check_objectives(str(tmp_path / "roberta"), next_sentence=False)
    with pytest.raises(UserError, match=r"next_sentence: .* is a roberta, which has no head for it"):
        check_objectives(str(tmp_path / "roberta"), next_sentence=True)
    GPT2Config().save_pretrained(tmp_path / "gpt2")
    with pytest.raises(UserError, match=r"pretrained: .* is a gpt2, which has no head for masked"):
        check_objectives(str(tmp_path / "gpt2"), next_sentence=False)


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ({"hiden_size": 32}, "architecture.hiden_size: BertConfig has no such option"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "architecture.hidden_size: 30 is no multiple of"),
    ],
)
def test_wrong_architectures_are_named(architecture, message) -> None:
    with pytest.raises(UserError, match=message):
        bert_config(architecture)


ENGLISH = ["The government won the election.", "Café owners elected a new government."] * 3
CHINESE = ["这家酒店很好，房间干净。", "服务员态度不好！"] * 3


def test_a_new_tokenizer_makes_a_round_trip_also_in_chinese_and_from_disk(tmp_path) -> None:
    tokenizer = train_tokenizer(ENGLISH + CHINESE, vocab_size=300, lower_case=True, max_length=64)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("the government won", "cafe owners", "这家酒店很好"):
        ids = tokenizer(text)["input_ids"]
        assert again(text)["input_ids"] == ids
        assert tokenizer.unk_token_id not in ids
        assert again.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")
    assert tokenizer.tokenize("这家酒店") == list("这家酒店"), "every Chinese character is a token"
    assert tokenizer("Café")["input_ids"] == tokenizer("cafe")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(range(5)) == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert again.model_max_length == 64


def test_a_new_tokenizer_can_keep_the_case() -> None:
    tokenizer = train_tokenizer(ENGLISH, vocab_size=300, lower_case=False, max_length=64)
    assert tokenizer("The")["input_ids"] != tokenizer("the")["input_ids"]


def test_a_new_bert_has_the_tokenizers_vocabulary() -> None:
    tokenizer = train_tokenizer(ENGLISH, vocab_size=300, lower_case=True, max_length=64)
    config = bert_config({"vocab_size": 300, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2})
    model = new_bert(config, tokenizer)
    assert model.get_input_embeddings().weight.shape == (len(tokenizer), 16)
    assert model.config.intermediate_size == 64
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
