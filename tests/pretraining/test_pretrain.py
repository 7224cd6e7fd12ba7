"""The command: what it writes, that it learns, that it resumes, and what it refuses."""

import json
import time
from pathlib import Path

import pytest
import torch
from processes import start
from run_folders import rounds
from safetensors.torch import load_file
from tiny import as_words, bbc, command
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    RobertaConfig,
)

from lit_react.cli import main
from lit_react.pretraining.module import Pretraining
from lit_react.pretraining.pretrain import CARD

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def articles(tmp_path_factory) -> Path:
    """80 articles, cut after 600 characters; no labels."""
    path = tmp_path_factory.mktemp("articles") / "articles.jsonl"
    path.write_text("".join(json.dumps({"text": text[:600]}) + "\n" for text in bbc().pool["text"][:80]))
    return path


def words(folder: Path, articles: Path, pretrained: str | None, *more: str) -> list[str]:
    """Arguments of a pretraining of seconds."""
    settings = {
        "folder": folder,
        "texts.source": articles,
        "texts.held_out": 20,
        "pretrained": pretrained or "null",
        "objective.max_length": 48,
        "training.steps": 12,
        "training.batch_size": 8,
        "training.learning_rate": 2e-3,
        "training.validations": 3,
        "training.precision": "32-true",
        "training.accelerator": "cpu",
        "wandb.mode": "disabled",
    }
    return ["pretrain", *as_words(settings), *more]


def refused(arguments: list[str], capsys) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    line = capsys.readouterr().err.strip().split("\n")[-1]
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, articles, tiny_bert) -> Path:
    folder = tmp_path_factory.mktemp("pretrain") / "run"
    main(words(folder, articles, tiny_bert))
    return folder


def test_a_pretraining_writes_model_card_and_picture_and_no_leftovers(unbroken, tiny_bert) -> None:
    assert sorted(path.name for path in unbroken.iterdir()) == ["loss.png", "model", CARD]
    card = json.loads((unbroken / "model" / CARD).read_text())
    assert [row["step"] for row in card["validations"]] == [0, 4, 8, 12]
    assert (card["before"], card["after"]) == (card["validations"][0], card["validations"][-1])
    assert card["seed"] == 0
    assert card["trained_on"] == 60
    assert card["pretrained"] == tiny_bert
    assert {"command", "version"} <= card.keys()
    assert 0 <= card["after"]["pair_accuracy"] <= 1
    assert AutoTokenizer.from_pretrained(unbroken / "model").mask_token == "[MASK]"


def test_the_encoder_is_the_trained_one_for_every_auto_class(unbroken, tiny_bert) -> None:
    saved = load_file(unbroken / "model" / "model.safetensors")
    plain = AutoModel.from_pretrained(unbroken / "model").state_dict()
    under_a_classifier = AutoModelForSequenceClassification.from_pretrained(unbroken / "model").bert.state_dict()
    before = AutoModel.from_pretrained(tiny_bert).state_dict()
    for name, tensor in plain.items():
        assert torch.equal(tensor, saved[f"bert.{name}"]), name
        assert torch.equal(tensor, under_a_classifier[name]), name
    assert any(not torch.equal(tensor, before[name]) for name, tensor in plain.items())
    assert not torch.equal(plain["pooler.dense.weight"], before["pooler.dense.weight"]), "trained by the pairs"


def test_fit_begins_from_a_pretrained_folder(unbroken, tmp_path, news_csv) -> None:
    main(command(news_csv, str(unbroken / "model"), tmp_path / "run", "--rounds.budget", "34"))
    assert [entry["labeled"] for entry in rounds(tmp_path / "run")] == [8, 14]


def test_a_finished_folder_says_so_and_is_left_alone(unbroken, articles, tiny_bert, capsys, monkeypatch) -> None:
    monkeypatch.setattr("lit_react.pretraining.corpus.Texts.load", lambda self: pytest.fail("nothing to read"))
    main(words(unbroken, articles, tiny_bert))
    out = capsys.readouterr().out
    assert "finished" in out
    assert "masked tokens: loss" in out


def test_a_changed_configuration_is_refused(unbroken, articles, tiny_bert, capsys) -> None:
    line = refused(words(unbroken, articles, tiny_bert, "--training.steps", "13"), capsys)
    assert f"{CARD}: this pretraining was begun with other training; restore it" in line
    assert "other objective" in refused(words(unbroken, articles, tiny_bert, "--objective.whole_word=true"), capsys)


def test_the_loss_falls_on_a_tiny_corpus(tmp_path, articles, tiny_bert_without_dropout) -> None:
    more = ("--training.steps", "150", "--training.learning_rate", "5e-3", "--training.batch_size", "16")
    main(words(tmp_path / "run", articles, tiny_bert_without_dropout, *more))
    card = json.loads((tmp_path / "run" / "model" / CARD).read_text())
    assert card["after"]["mlm_loss"] < card["before"]["mlm_loss"] - 1
    assert card["after"]["mlm_accuracy"] > card["before"]["mlm_accuracy"]


def test_gradients_are_clipped(tmp_path, articles, tiny_bert, monkeypatch) -> None:
    norms = []
    clip = Pretraining.configure_gradient_clipping

    def watched(module, *args, **options) -> None:
        clip(module, *args, **options)
        gradients = [parameter.grad.norm() for parameter in module.parameters() if parameter.grad is not None]
        norms.append(float(torch.stack(gradients).norm()))

    monkeypatch.setattr(Pretraining, "configure_gradient_clipping", watched)
    for precision in ("32-true", "bf16-mixed"):
        main(words(tmp_path / precision, articles, tiny_bert, "--training.steps=3", "--training.precision", precision))
    assert len(norms) == 6
    assert max(norms) == pytest.approx(1, rel=0.01), "what was longer is 1 long"


@pytest.mark.parametrize("step", [2, 6, 11])
def test_a_broken_run_goes_on_and_equals_an_unbroken_one(
    step, unbroken, tmp_path, articles, tiny_bert, monkeypatch
) -> None:
    training_step = Pretraining.training_step

    def breaks(module: Pretraining, batch, index: int):
        if module.global_step == step:
            raise OSError("power cut")
        return training_step(module, batch, index)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Pretraining, "training_step", breaks)
        with pytest.raises(OSError, match="power cut"):
            main(words(folder, articles, tiny_bert))
    assert not (folder / "model").exists()
    assert (folder / "checkpoint.ckpt").exists() == (step > 3)
    main(words(folder, articles, tiny_bert))
    whole, resumed = (load_file(run / "model" / "model.safetensors") for run in (unbroken, folder))
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())
    first, second = (json.loads((run / "model" / CARD).read_text()) for run in (unbroken, folder))
    assert first["validations"] == second["validations"]


def test_a_killed_run_goes_on_and_equals_an_unbroken_one(unbroken, tmp_path, articles, tiny_bert) -> None:
    folder = tmp_path / "run"
    process = start(words(folder, articles, tiny_bert))
    while not (folder / "checkpoint.ckpt").exists() and process.is_alive():
        time.sleep(0.005)
    process.kill()
    process.join()
    main(words(folder, articles, tiny_bert))
    whole, resumed = (load_file(run / "model" / "model.safetensors") for run in (unbroken, folder))
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_other_texts_under_a_checkpoint_are_refused(tmp_path, articles, tiny_bert, monkeypatch, capsys) -> None:
    copy, folder = tmp_path / "articles.jsonl", tmp_path / "run"
    copy.write_bytes(articles.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("lit_react.pretraining.pretrain._publish", lambda *_: (_ for _ in ()).throw(OSError("full")))
        with pytest.raises(OSError, match="full"):
            main(words(folder, copy, tiny_bert))
    copy.write_text(copy.read_text().replace("the", "The"))
    assert "begun with other digest" in refused(words(folder, copy, tiny_bert), capsys)


def test_a_chinese_bert_from_scratch(tmp_path) -> None:
    reviews = [f"第{i}家酒店很好。房间{i}干净！服务员态度不错。" for i in "一二三四五六七八九十"] * 4
    texts = tmp_path / "reviews.jsonl"
    texts.write_text("".join(json.dumps({"text": f"{i}。{review}"}) + "\n" for i, review in enumerate(reviews)))
    shape = {"vocab_size": 200, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    main(words(tmp_path / "run", texts, None, f"--architecture={json.dumps(shape)}", "--objective.whole_word=true"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")
    assert tokenizer.tokenize("酒店很好") == list("酒店很好")
    model = AutoModel.from_pretrained(tmp_path / "run" / "model")
    assert model.config.hidden_size == 16
    assert len(tokenizer) == model.config.vocab_size


def test_a_model_without_that_head_learns_masked_tokens_only(tmp_path, articles, tiny_bert) -> None:
    small = {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 32}
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    config = RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, pad_token_id=0, **small)
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "roberta")
    tokenizer.save_pretrained(tmp_path / "roberta")
    main(words(tmp_path / "run", articles, str(tmp_path / "roberta"), "--objective.next_sentence=false"))
    card = json.loads((tmp_path / "run" / "model" / CARD).read_text())
    assert "pair_loss" not in card["after"]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--training.steps=0", "training.steps: 0 is too small, expected 1 or more"),
        ("--training.warmup=1", "training.warmup: 1.0 is too large, expected 0 or more, less than 1"),
        ("--objective.mask_share=1.5", "objective.mask_share: 1.5 is too large, expected more than 0, less than 1"),
        ("--objective.max_length=4", "objective.max_length: 4 is too small, expected 8 or more"),
        ("--objective.max_length=100", "objective.max_length: 100 is more than the 64 positions of the model"),
        ("--pretrained=nowhere/at-all", "cannot load 'nowhere/at-all'"),
        ("--pretrained=null", "pretrained, architecture: expected one of them"),
        ("--texts.held_out=500", "texts.held_out: 80 rows of"),
        ("--texts.source=missing.csv", "missing.csv"),
        ("--training.accelerator=abacus", "training.accelerator"),
        ("--masked=true", "masked"),
    ],
)
def test_wrong_options_are_told_in_one_line(option, message, tmp_path, articles, tiny_bert, capsys) -> None:
    assert message in refused([*words(tmp_path / "run", articles, tiny_bert), option], capsys)
    assert not (tmp_path / "run" / "model").exists()


def test_texts_of_single_sentences_have_no_pairs(tmp_path, news_csv, tiny_bert, capsys) -> None:
    texts = tmp_path / "texts.csv"
    texts.write_text("text\n" + "".join(f"one sentence {i}\n" for i in range(40)))
    line = refused(words(tmp_path / "run", texts, tiny_bert), capsys)
    assert "expected a text of two sentences, which next_sentence asks for" in line
    main(words(tmp_path / "run", texts, tiny_bert, "--objective.next_sentence=false"))
