"""What only a CUDA device can show; `make test-gpu` runs it, and every other test with the Trainer on the GPU."""

from pathlib import Path

import pytest
import torch
from run_folders import bought, purchases, rounds
from tiny import command

from lit_react.cli import main

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
ON_GPU = ["--trainer.accelerator=gpu", "--trainer.devices=1"]


@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_a_run_in_each_precision(precision, news_csv, tiny_bert, tmp_path: Path) -> None:
    main(command(news_csv, tiny_bert, tmp_path, *ON_GPU, f"--trainer.precision={precision}"))
    assert [entry["labeled"] for entry in rounds(tmp_path)] == [8, 14, 20, 26]
    assert all(0 < entry["metrics"]["val/loss"] < 3 for entry in rounds(tmp_path))


def test_a_compiled_model_learns_like_another(news_csv, tiny_bert_without_dropout, tmp_path: Path) -> None:
    for name, options in {"plain": [], "compiled": ["--model.compile=true"]}.items():
        main(command(news_csv, tiny_bert_without_dropout, tmp_path / name, *ON_GPU, *options))
    for plain, compiled in zip(rounds(tmp_path / "plain"), rounds(tmp_path / "compiled"), strict=True):
        assert compiled["metrics"]["val/loss"] == pytest.approx(plain["metrics"]["val/loss"], rel=2e-2)


def test_a_first_fit_is_the_cpu_s(news_csv, tiny_bert_without_dropout, tmp_path: Path) -> None:
    for name, options in {"cpu": ["--trainer.accelerator=cpu"], "gpu": ON_GPU}.items():
        main(command(news_csv, tiny_bert_without_dropout, tmp_path / name, *options, "--rounds.budget=28"))
    (cpu,), (gpu,) = rounds(tmp_path / "cpu"), rounds(tmp_path / "gpu")
    assert bought(tmp_path / "gpu") == bought(tmp_path / "cpu")
    assert gpu["metrics"]["val/loss"] == pytest.approx(cpu["metrics"]["val/loss"], rel=1e-2)


def test_a_run_begun_on_a_gpu_goes_on_without_one(news_csv, tiny_bert, tmp_path: Path) -> None:
    main(command(news_csv, tiny_bert, tmp_path, *ON_GPU, "--rounds.budget=34"))
    first = bought(tmp_path)
    main(command(news_csv, tiny_bert, tmp_path, "--trainer.accelerator=cpu"))
    assert bought(tmp_path)[: len(first)] == first
    assert len(rounds(tmp_path)) == 4
    paid = [(entry["split"], entry["row"]) for entry in purchases(tmp_path)]
    assert len(set(paid)) == len(paid) == 46


def test_scoring_leaves_no_more_on_the_gpu_as_the_pool_grows(news_csv, tiny_bert, tmp_path: Path) -> None:
    peaks = []
    for size in (30, 100):
        torch.cuda.reset_peak_memory_stats()
        main(command(news_csv, tiny_bert, tmp_path / str(size), *ON_GPU, f"--data.pool_size={size}"))
        peaks.append(torch.cuda.max_memory_allocated())
    assert peaks[1] < 1.5 * peaks[0]
