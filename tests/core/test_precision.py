"""Which precision is taken, on machines that are faked."""

import pytest
import torch

from lit_react.core.precision import fast_precision
from lit_react.run.trainers import new_trainer


@pytest.fixture
def machine(monkeypatch):
    """Fakes what a machine can do; nothing at first."""

    def fake(*, avx512_bf16=False, amx=False, cuda=False, cuda_bf16=False, mps=False) -> None:
        can = {
            (torch.cpu, "_is_avx512_bf16_supported"): avx512_bf16,
            (torch.cpu, "_is_amx_tile_supported"): amx,
            (torch.cuda, "is_available"): cuda,
            (torch.backends.mps, "is_available"): mps,
        }
        for (place, name), answer in can.items():
            monkeypatch.setattr(place, name, lambda answer=answer: answer)
        # GPUs that only emulate bf16 say yes unless they are asked for the thing itself
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True: cuda_bf16 or including_emulation
        )

    fake()
    return fake


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx": True}, "bf16-mixed"),
        ({"avx512_bf16": True, "amx": True}, "bf16-mixed"),
        ({"cuda": True}, "16-mixed"),
        ({"cuda": True, "cuda_bf16": True}, "bf16-mixed"),
        ({"mps": True}, "32-true"),
        ({"mps": True, "amx": True}, "32-true"),
    ],
    ids=str,
)
def test_the_precision_is_one_in_which_the_machine_is_fast(machine, capabilities, expected) -> None:
    machine(**capabilities)
    assert fast_precision() == expected


@pytest.mark.parametrize(
    ("accelerator", "expected"), [("cpu", "32-true"), ("gpu", "bf16-mixed"), ("cuda", "bf16-mixed")]
)
def test_it_is_that_of_the_accelerator_that_is_asked_for(machine, accelerator, expected) -> None:
    machine(cuda=True, cuda_bf16=True)
    assert fast_precision(accelerator) == expected


def test_a_trainer_takes_it_where_the_user_says_nothing(machine) -> None:
    options = {"accelerator": "cpu", "logger": False}
    for capabilities, expected in (({}, "32-true"), ({"amx": True}, "bf16-mixed")):
        machine(**capabilities)
        assert new_trainer(options).precision == expected
        assert new_trainer({**options, "precision": None}).precision == expected
    assert new_trainer({**options, "precision": "32-true"}).precision == "32-true"
