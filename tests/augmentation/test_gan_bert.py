"""GAN-BERT: losses by hand, who learns from which, the toy that it must tell apart."""

import math
from dataclasses import replace

import pytest
import torch
from clusters import make_fit, make_head, make_step, of_bf16_true
from torch import Tensor, nn

from lit_react.augmentation.gan_bert import GanBert, discriminator_loss, generator_loss
from lit_react.core.errors import UserError


def begun(head: nn.Linear, seed: int = 0, **options: float) -> GanBert:
    part = GanBert(**{"noise": 4, "dropout": 0.0} | options)
    part.begin(make_fit(num_features=head.in_features, num_classes=head.out_features, seed=seed))
    return part


def log_softmax_of_one_more(logits: Tensor) -> Tensor:
    """[n, k + 1]: log-probabilities with a last logit, the fake one, of 0."""
    return torch.cat([logits, torch.zeros(len(logits), 1)], 1).log_softmax(1)


def test_losses_by_hand() -> None:
    evidence = torch.tensor([0.0, math.log(3)])  # p_fake = 1 / (1 + Z): 1/2 and 1/4
    real, fake = -(math.log(1 / 2) + math.log(3 / 4)) / 2, -(math.log(1 / 2) + math.log(1 / 4)) / 2
    assert discriminator_loss(evidence, evidence).item() == pytest.approx(real + fake, rel=1e-6)
    features, made = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 3.0]])
    assert generator_loss(evidence, features, made).item() == pytest.approx(real + (4 + 4) / 2, rel=1e-6)


def test_the_loss_is_that_of_a_softmax_with_one_more_class() -> None:
    head, seen = make_head(), []
    step = make_step([0, 1], head, unlabeled=4)

    def watching(features: Tensor) -> Tensor:
        seen.append(features.detach().clone())
        return step.head(features)

    loss = begun(head, weight=0.5).loss(replace(step, head=watching))
    assert torch.equal(seen[0], seen[1]), "both players see the same fakes"
    real = log_softmax_of_one_more(torch.cat([step.labeled.logits, step.unlabeled.logits]))
    fake = log_softmax_of_one_more(head(seen[0]))
    expected = -(1 - real[:, -1].exp()).log().mean() - fake[:, -1].mean()
    torch.testing.assert_close(loss, 0.5 * expected, rtol=1e-5, atol=1e-6)


def test_losses_stay_finite_for_any_logits() -> None:
    evidence = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = discriminator_loss(evidence, evidence)
    loss.backward()
    assert loss.item() == pytest.approx(1e4)
    assert evidence.grad.isfinite().all()


def test_the_generators_step_changes_the_generator_and_neither_head_nor_features() -> None:
    head = make_head()
    part, step = begun(head), make_step([0, 1, 2], head, unlabeled=3)
    weights = [parameter.detach().clone() for parameter in head.parameters()]
    before = [parameter.detach().clone() for parameter in part.network.parameters()]
    part.loss(step)
    for parameter, old in zip(head.parameters(), weights, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None
    assert step.labeled.features.grad is None
    assert step.unlabeled.features.grad is None
    assert all(not torch.equal(new, old) for new, old in zip(part.network.parameters(), before, strict=True))


def test_the_discriminators_loss_reaches_head_and_model_but_not_the_generator() -> None:
    head = make_head()
    part, step = begun(head), make_step([0, 1, 2], head, unlabeled=3)
    loss = part.loss(step)
    for parameter in part.network.parameters():
        parameter.grad = None
    loss.backward()
    assert all(parameter.grad is None for parameter in part.network.parameters())
    assert head.weight.grad.any()
    assert step.labeled.features.grad.any()
    assert step.unlabeled.features.grad.any()


def test_the_generators_gradient_is_that_of_its_own_loss() -> None:
    head = make_head()
    part, step = begun(head), make_step([0, 1, 2], head, unlabeled=3)
    other = begun(head)
    real = torch.cat([step.labeled.features, step.unlabeled.features]).detach()
    fakes = other.network(torch.rand(len(real), 4, generator=other.generator))
    generator_loss(head(fakes).logsumexp(1), real, fakes).backward()
    part.loss(step)
    for mine, expected in zip(part.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, expected.grad)


def test_the_discriminator_learns_to_tell_a_generator_that_hardly_learns() -> None:
    head = make_head()
    part, optimizer = begun(head, learning_rate=1e-12), torch.optim.Adam(head.parameters(), lr=0.1)
    for seed in range(80):
        optimizer.zero_grad()
        part.loss(make_step([0, 1, 2], head, unlabeled=9, seed=seed)).backward()
        optimizer.step()
    part._taken_for_real.zero_()
    part._steps = 0
    part.loss(make_step([0, 1, 2], head, unlabeled=9, seed=1000))
    assert part.report()["d_real"] > part.report()["d_fake"] + 0.3


def test_the_generator_learns_to_look_real() -> None:
    head = make_head()
    part = begun(head, learning_rate=0.01)
    steps = [make_step([0, 1, 2], head, unlabeled=30, seed=seed) for seed in range(5)]
    target = torch.cat([step.unlabeled.features for step in steps]).mean(0).detach()

    def distance() -> float:
        noise = torch.rand(200, 4, generator=torch.Generator().manual_seed(9))
        return (part.network(noise).mean(0) - target).norm().item()

    before = distance()
    for turn in range(120):
        part.loss(steps[turn % 5])
    assert distance() < before / 2


def test_it_goes_on_where_no_row_is_unlabeled() -> None:
    head = make_head()
    loss = begun(head).loss(make_step([0, 2], head))
    loss.backward()
    assert head.weight.grad.isfinite().all()


def test_the_report_is_the_mean_over_the_steps_and_empty_before_the_first() -> None:
    head = make_head()
    part = begun(head)
    assert part.report() == {}
    steps = [make_step([0, 1], head, unlabeled=2, seed=seed) for seed in range(2)]
    for step in steps:
        part.loss(step)
    evidence = [torch.cat([step.labeled.logits, step.unlabeled.logits]) for step in steps]
    real = torch.stack([1 - log_softmax_of_one_more(logits)[:, -1].exp().mean() for logits in evidence])
    assert part.report()["d_real"] == pytest.approx(real.mean().item(), rel=1e-5)
    assert 0 < part.report()["d_fake"] < 1


def test_the_seed_decides_and_the_global_generator_does_not() -> None:
    head, found = make_head(), []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        state = torch.get_rng_state()
        part = begun(head, seed)
        found.append([part.loss(make_step([0, 1], head, unlabeled=2)).item() for _ in range(3)])
        assert torch.equal(torch.get_rng_state(), state), "without dropout nothing is drawn from it"
    assert found[0] == found[1] != found[2]


def test_the_generator_works_in_float32_under_autocast() -> None:
    head = make_head()
    part = begun(head)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = part.loss(make_step([0, 1, 2], head, unlabeled=3, dtype=torch.bfloat16))
    loss.backward()
    assert loss.dtype == torch.float32
    assert head.weight.grad.any()
    assert all(parameter.grad.dtype == torch.float32 for parameter in part.network.parameters())


def test_it_learns_where_all_weights_are_bf16() -> None:
    head = make_head().bfloat16()
    part, step = begun(head), make_step([0, 1, 2], head, unlabeled=3, dtype=torch.bfloat16)
    with of_bf16_true():
        part.loss(step).backward()
    assert head.weight.grad.any()


@pytest.mark.parametrize("options", [{"learning_rate": 0.0}, {"noise": 0}, {"hidden": 0}, {"dropout": 1.0}])
def test_options_out_of_range_are_named(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.features\.{next(iter(options))}: .* expected"):
        GanBert(**options)
