"""What a fit does to gradients before the optimiser sees them, and the learning rate of each step."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from tiny import QUIET, buy, connect, named

from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import TextClassification
from lit_react.tasks.optimisation import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


def half() -> MixedPrecision:
    """Float16 with scaled gradients, as on a GPU."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", init_scale=8.0))


@pytest.mark.parametrize(
    "precision",
    [lambda: {"precision": "32-true"}, lambda: {"precision": "bf16-mixed"}, lambda: {"plugins": [half()]}],
    ids=["32-true", "bf16-mixed", "16-mixed"],
)
@pytest.mark.parametrize("fused", [True, False])
def test_gradients_are_clipped_whatever_the_optimiser(
    tiny_bert: str, news_csv: Path, precision: Callable[[], dict], fused: bool
) -> None:
    steps: dict[float | None, float] = {}
    for clip in (None, 1e-3):
        torch.manual_seed(0)
        optimizer = lambda groups: torch.optim.SGD(groups, lr=1.0, fused=fused)  # noqa: E731
        module = TextClassification(tiny_bert, max_length=16, optimizer=optimizer, lr_scheduler="plateau")
        data = connect(PoolDataModule(str(news_csv), validation_size=20, test_size=30, batch_size=8), module)
        for split in ("pool", "validation"):
            buy(data, split, range(20))
        options = QUIET | {"gradient_clip_val": clip} | precision()
        trainer = L.Trainer(max_steps=1, max_epochs=-1, enable_checkpointing=False, **options)
        module = named(module, data.fixed.class_names)
        module.configure_model()
        before = torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()
        trainer.fit(module, data)
        steps[clip] = float((torch.nn.utils.parameters_to_vector(module.parameters()).detach() - before).norm())
    assert steps[1e-3] == pytest.approx(1e-3, rel=0.05)
    assert steps[None] > 0.1


class Rates(L.Callback):
    """The learning rate of each step."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.fixture
def rates(tiny_bert: str, news_csv: Path) -> Callable[..., list[float]]:
    """Fit on 24 labels, and return the learning rate of each step."""

    def rates(
        lr: float, schedule: Schedule, *, warmup: float, batch_size: int, epochs: int, **options: object
    ) -> list[float]:
        optimizer = lambda groups: torch.optim.AdamW(groups, lr=lr)  # noqa: E731
        module = TextClassification(tiny_bert, max_length=16, optimizer=optimizer, lr_scheduler=schedule, warmup=warmup)
        data = PoolDataModule(str(news_csv), validation_size=30, test_size=20, batch_size=batch_size)
        buy(connect(data, module), "pool", range(24))
        buy(data, "validation", range(30))
        watch = Rates()
        trainer = L.Trainer(max_epochs=epochs, callbacks=[watch], enable_checkpointing=False, **QUIET | options)
        trainer.fit(module, data)
        return watch.seen

    return rates


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0, 0.5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("constant_with_warmup", [0, 0.5, 1, 1, 1, 1, 1, 1]),
        ("cosine", [0, 0.5, *((1 + np.cos(np.pi * np.arange(6) / 6)) / 2)]),
    ],
)
def test_the_learning_rate_rises_from_zero_and_follows_its_schedule(rates, schedule, expected) -> None:
    seen = rates(1e-3, schedule, warmup=0.25, batch_size=6, epochs=2)  # 4 steps per epoch
    assert seen == pytest.approx([1e-3 * share for share in expected], abs=1e-9)


def test_plateau_goes_by_validations_where_they_come_by_steps(rates) -> None:
    by_steps = {"val_check_interval": 3, "check_val_every_n_epoch": None}
    seen = rates(1e-6, "plateau", warmup=0.0, batch_size=12, epochs=6, **by_steps)  # two steps per epoch
    assert seen == pytest.approx([1e-6] * 9 + [1e-7] * 3, rel=1e-6, abs=0)


def test_plateau_divides_the_rate_after_two_validations_without_gain(rates) -> None:
    seen = rates(1e-6, "plateau", warmup=0.0, batch_size=24, epochs=6)  # one step per epoch
    assert seen == pytest.approx([1e-6, 1e-6, 1e-6, 1e-7, 1e-7, 1e-8], rel=1e-6, abs=0)


def test_before_a_plateau_the_rate_rises_too(rates) -> None:
    seen = rates(1e-6, "plateau", warmup=0.25, batch_size=6, epochs=4)  # four steps per epoch
    assert seen == pytest.approx([2e-7, 4e-7, 6e-7, 8e-7, *[1e-6] * 8, *[1e-7] * 4], rel=1e-6, abs=0)


def test_biases_and_norms_have_no_weight_decay(tiny_bert: str) -> None:
    module = named(TextClassification(tiny_bert, max_length=16), ["a", "b"])
    module.configure_model()
    names = {parameter: name for name, parameter in module.named_parameters()}
    groups = module.built_optimizer().param_groups
    decays = {names[parameter]: group["weight_decay"] for group in groups for parameter in group["params"]}
    assert decays == {name: 0.01 if p.ndim > 1 else 0.0 for name, p in module.named_parameters()}
