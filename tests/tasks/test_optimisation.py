"""What a fit does to gradients before the optimiser sees them."""

from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from tiny import QUIET, buy, connect

from lit_react.data.datamodule import PoolDataModule
from lit_react.tasks import TextClassification

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
        module.configure_model()
        before = torch.nn.utils.parameters_to_vector(module.parameters()).detach().clone()
        trainer.fit(module, data)
        steps[clip] = float((torch.nn.utils.parameters_to_vector(module.parameters()).detach() - before).norm())
    assert steps[1e-3] == pytest.approx(1e-3, rel=0.05)
    assert steps[None] > 0.1
