"""Whole runs with each part that stretches labels, and with all of them."""

from pathlib import Path

import pytest
from run_folders import rounds
from tiny import command, save_bert
from transformers import BertForMaskedLM

from lit_react.cli import main

OPTIONS = {
    "labels": ["--augmentation.labels=LabelGAN", "--augmentation.labels.gate=0"],
    "complementary": ["--augmentation.complementary.weight=1"],
    "contrastive": ["--augmentation.contrastive.weight=1"],
    "gan_bert": ["--augmentation.features=GanBert"],
    "texts": ["--augmentation.texts=WordDropout"],
    "all together": [
        "--augmentation.labels=SelfTraining",
        "--augmentation.labels.threshold=0",
        "--augmentation.complementary.weight=1",
        "--augmentation.contrastive.weight=1",
        "--augmentation.features=GanBert",
        "--augmentation.texts=WordSwap",
    ],
}
AT_ONCE = ["--augmentation.trust.mode=always", "--augmentation.trust.start=0", "--rounds.budget=34"]


def losses(folder: Path) -> list[float]:
    return [entry["metrics"]["val/loss"] for entry in rounds(folder)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, news_csv, tiny_bert) -> list[float]:
    folder = tmp_path_factory.mktemp("plain")
    main(command(news_csv, tiny_bert, folder, "--rounds.budget=34"))
    return losses(folder)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_with_each_part_and_with_all_of_them(name, news_csv, tiny_bert, tmp_path, plain):
    main(command(news_csv, tiny_bert, tmp_path, *OPTIONS[name], *AT_ONCE))
    assert [entry["labeled"] for entry in rounds(tmp_path)] == [8, 14]
    assert losses(tmp_path)[0] != plain[0], "the part changes the fit"
    measured = rounds(tmp_path)[-1]["augmentation"]
    if any(option.startswith("--augmentation.labels=") for option in OPTIONS[name]):
        assert "generated_accuracy_all" in measured
        assert measured["trust"] == 1
    if name == "gan_bert":
        assert {"d_real", "d_fake"} <= measured.keys()


def test_a_resumed_run_with_all_parts_equals_an_unbroken_one(news_csv, tiny_bert, tmp_path):
    headless = save_bert(tmp_path / "bert", ["film", "game", "said"], dropout=0.1, model_class=BertForMaskedLM)
    for name, budgets in (("unbroken", ["40"]), ("resumed", ["34", "40"])):
        for budget in budgets:
            options = [*OPTIONS["all together"], *AT_ONCE, "--model.pretrained", headless, "--rounds.budget", budget]
            main(command(news_csv, tiny_bert, tmp_path / name, *options))
    assert len(losses(tmp_path / "resumed")) == 3
    assert losses(tmp_path / "resumed") == losses(tmp_path / "unbroken")


def test_a_run_without_parts_has_no_augmentation(news_csv, tiny_bert, tmp_path):
    main(command(news_csv, tiny_bert, tmp_path, "--rounds.budget=28"))
    assert "augmentation" not in rounds(tmp_path)[0]
