import json
import runpy
import sys
from pathlib import Path

import datasets
import pytest
import torch
from tiny_seq2seq import build_t5
from transformers import M2M100Config, NllbTokenizer
from transformers import M2M100ForConditionalGeneration as Nllb

from lit_react.core.errors import UserError
from lit_react.data.encoding import tokenizer_digest
from lit_react.tasks import Translation

SCRIPT = Path(__file__).parents[2] / "scripts" / "models" / "small_seq2seq.py"


@pytest.fixture(scope="module")
def t5(tmp_path_factory) -> str:
    return build_t5(tmp_path_factory.mktemp("t5"), ["a dog"])


@pytest.fixture(scope="module")
def nllb(tmp_path_factory) -> str:
    """Folder of an NLLB of one layer, whose tokenizer knows letters and languages."""
    folder = tmp_path_factory.mktemp("nllb")
    words = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefgh"]
    tokenizer = NllbTokenizer(vocab={word: index for index, word in enumerate(words)}, merges=[])
    tokenizer.save_pretrained(folder)
    sizes = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 32}
    torch.manual_seed(0)
    Nllb(M2M100Config(vocab_size=len(tokenizer), **sizes, **heads, decoder_start_token_id=2)).save_pretrained(folder)
    return str(folder)


def test_languages_mark_sources_and_targets_and_are_prescribed(nllb) -> None:
    module = Translation(nllb, max_length=16, max_target_length=12, src_lang="eng_Latn", tgt_lang="deu_Latn")
    module.configure_model()
    module.eval()
    english, german = module.task.tokenizer.convert_tokens_to_ids(["eng_Latn", "deu_Latn"])
    batch = module.task.encode(datasets.Dataset.from_dict({"text": ["a b", "c"]})).batch([0, 1], ["d e", "f"])
    assert batch["input_ids"][:, 0].tolist() == [english] * 2
    assert batch["labels"][:, 0].tolist() == [german] * 2
    assert module._generate(batch, module._encode(batch))[:, 1].tolist() == [german] * 2
    other = Translation(nllb, src_lang="fra_Latn", tgt_lang="deu_Latn")
    assert tokenizer_digest(other.task.tokenizer) != tokenizer_digest(module.task.tokenizer)


@pytest.mark.parametrize(
    ("model", "languages", "message"),
    [
        ("nllb", {"src_lang": "eng_Latn", "tgt_lang": "German"}, "does not know both 'eng_Latn' and 'German'"),
        ("nllb", {"src_lang": "eng_Latn"}, "expected both or none"),
        ("t5", {"src_lang": "en", "tgt_lang": "de"}, "has no languages to choose from"),
    ],
)
def test_languages_that_a_checkpoint_lacks_are_refused(t5, nllb, model, languages, message) -> None:
    with pytest.raises(UserError, match=message):
        Translation(nllb if model == "nllb" else t5, **languages).task.tokenizer  # noqa: B018  made when it is first used


def test_the_small_model_of_the_script_reads_sources_and_writes_any_target(tmp_path, monkeypatch) -> None:
    rows = [{"source": f"a dog sees {number} cats", "target": "ßß"} for number in range(20)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = ["--folder", tmp_path / "model", "--source", tmp_path / "rows.jsonl", "--vocabulary", 280, "--width", 32]
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, options)])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    module = Translation(str(tmp_path / "model"))
    table = module.task.encode(datasets.Dataset.from_dict({"text": ["a dog sees 3 cats", ""]}))
    target = "Ein Mädchen läuft über die Straße, 猫."
    batch = table.batch([0, 1], [target, "x"])
    assert table.lengths[0] < len("a dog sees 3 cats") / 2
    assert table.lengths[1] == 1
    assert module.task.tokenizer.decode(batch["labels"][0], skip_special_tokens=True).strip() == target
    assert not any("ß" in module.task.tokenizer.decode([token]) for token in range(len(module.task.tokenizer)))
