"""Mixup, SMOTE and Gaussians on the head's inputs, and the memory they read."""

import copy
import math

import pytest
import torch
from clusters import make_head, make_step, of_bf16_true
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from lit_react.augmentation.features.base import FeatureAugmentation, Step
from lit_react.augmentation.features.feature_memory import FeatureMemory
from lit_react.augmentation.features.feature_space import Gaussians, Smote, class_balanced, class_gaussians
from lit_react.augmentation.features.mixup import Mixup
from lit_react.core.errors import UserError

CPU = torch.device("cpu")


def begun(part: FeatureAugmentation, head: nn.Linear, seed: int = 0) -> FeatureAugmentation:
    part.begin(head.in_features, head.out_features, CPU, seed)
    return part


def watched(step: Step) -> tuple[Step, list[Tensor]]:
    """The step, and a list of what its head will be given."""
    seen: list[Tensor] = []

    def head(features: Tensor) -> Tensor:
        seen.append(features.detach())
        return step.head(features)

    return Step(step.labeled, step.labels, step.rows, step.unlabeled, head, step.progress), seen


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 7), min_size=1, max_size=6), size=st.integers(1, 10))
def test_the_memory_holds_the_last_rows(sizes: list[int], size: int) -> None:
    memory, rows = FeatureMemory(size, 2, CPU), list(range(sum(sizes)))
    for part in torch.tensor(rows).split(sizes):
        memory.add(part, torch.stack([part, part], 1).float().requires_grad_(), part)
    assert memory.rows.tolist() == memory.labels.tolist() == rows[-size:]
    assert torch.equal(memory.features[:, 1], memory.labels.float())
    assert not memory.features.requires_grad


def test_a_row_that_comes_again_is_kept_as_it_was_last_seen() -> None:
    memory = FeatureMemory(3, 1, CPU)
    for time, row in enumerate([4, 5, 4, 6, 4, 5]):
        memory.forget(torch.tensor([row]))
        memory.add(torch.tensor([row]), torch.tensor([[float(time)]]), torch.tensor([0]))
    assert memory.rows.tolist() == [6, 4, 5]
    assert memory.features[:, 0].tolist() == [3, 4, 5]


def test_mixup_mixes_rows_and_labels_by_the_same_share() -> None:
    head = make_head()
    step, seen = watched(make_step([0, 1, 2, 0, 1, 2, 0, 1], head))
    loss = begun(Mixup(alpha=1.0), head).loss(step)
    points, labels, expected = step.labeled.features.detach(), step.labels, []
    for mixed in seen[0]:
        fits = []  # the pair and the share that explain the mixed row best
        for i in range(8):
            for j in range(8):
                along = points[i] - points[j]
                share = 1.0 if i == j else float(((mixed - points[j]) @ along / along.square().sum()).clamp(0, 1))
                error = float((torch.lerp(points[j], points[i], share) - mixed).square().sum())
                fits.append((error, i, j, share))
        error, i, j, share = min(fits)
        assert error < 1e-9
        costs = -head(mixed).log_softmax(0)
        expected.append(share * costs[labels[i]] + (1 - share) * costs[labels[j]])
    torch.testing.assert_close(loss, torch.stack(expected).mean(), rtol=1e-4, atol=1e-4)


def test_mixup_with_a_tiny_alpha_is_cross_entropy() -> None:
    head = make_head()
    step = make_step([0, 1, 2, 1], head)
    loss = begun(Mixup(alpha=1e-6, weight=2.0), head).loss(step)
    assert loss.item() == pytest.approx(2 * F.cross_entropy(step.labeled.logits, step.labels).item(), rel=0.5)


def test_smote_makes_points_between_rows_of_a_class_in_batch_or_memory() -> None:
    head = make_head()
    part = begun(Smote(neighbors=2), head)
    first = make_step([0, 1, 2, 0, 1, 0], head, seed=1)
    part.loss(first)
    second, seen = watched(make_step([0, 1, 2, 0], head, seed=2))
    part.loss(second)
    points = torch.cat([second.labeled.features, first.labeled.features]).detach()
    labels = torch.cat([second.labels, first.labels])
    for made in seen[0]:
        errors = []
        for i in range(len(points)):
            for j in range(len(points)):
                if labels[i] == labels[j]:
                    detour = (made - points[i]).norm() + (made - points[j]).norm() - (points[i] - points[j]).norm()
                    errors.append(float(detour))
        assert min(errors) < 1e-4


@pytest.mark.parametrize("part", [Smote(), Gaussians()], ids=lambda part: type(part).__name__)
def test_a_class_seen_in_a_recent_step_is_made_again(part: Smote | Gaussians) -> None:
    head = make_head()
    part = begun(copy.deepcopy(part), head)
    part.loss(make_step([2, 2, 2], head))
    step, seen = watched(make_step([0] * 40, head, seed=1))
    part.loss(step)
    assert 8 < (seen[0].argmax(1) == 2).sum() < 32


def test_smote_takes_the_nearest_rows_and_repeats_a_row_alone_in_its_class() -> None:
    part = begun(Smote(neighbors=2), make_head(1))
    points = torch.tensor([[0.0], [1.0], [2.0], [10.0], [0.5]])
    labels, ends = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 3, 4])
    drawn = torch.stack([part._near(points, labels, torch.arange(5), ends) for _ in range(100)])
    assert [set(column.tolist()) for column in drawn.T] == [{1, 2}, {1, 2}, {4}]


def test_smote_never_goes_from_a_row_to_what_it_was_before() -> None:
    head = make_head()
    part = begun(Smote(neighbors=5), head)
    for seed in range(4):  # the same three rows, each alone in its class, moved a little by each step
        step, seen = watched(make_step([0, 1, 2], head, seed=seed, first_row=0))
        part.loss(step)
        assert torch.cdist(seen[0], step.labeled.features.detach()).min(1).values.max() < 1e-5


def test_gaussians_know_no_variance_from_a_row_that_is_seen_again() -> None:
    head = make_head()
    part = begun(Gaussians(), head)
    for seed in range(4):
        step, seen = watched(make_step([0, 1, 2], head, seed=seed, first_row=0))
        part.loss(step)
        assert torch.cdist(seen[0], step.labeled.features.detach()).min(1).values.max() < 1e-5


def test_classes_are_drawn_equally_often_however_many_rows_they_have() -> None:
    labels = torch.tensor([0] * 90 + [2] * 10)
    drawn = labels[class_balanced(labels, 2000, torch.Generator().manual_seed(0))]
    assert 900 < (drawn == 2).sum() < 1100
    assert not (drawn == 1).any()


def test_gaussians_of_classes_by_hand() -> None:
    points = torch.tensor([[0.0, 0.0], [2.0, 4.0], [5.0, 5.0]])
    means, variances = class_gaussians(points, torch.tensor([0, 0, 2]), 3, 0.0)
    assert means.tolist() == [[1, 2], [0, 0], [5, 5]]
    assert variances.tolist() == [2, 8]  # (1 + 1, 4 + 4) / (3 rows - 2 classes)
    _, shrunk = class_gaussians(points, torch.tensor([0, 0, 2]), 3, 0.5)
    assert shrunk.tolist() == [3.5, 6.5]


def test_gaussians_draw_around_the_means_of_their_classes() -> None:
    head = make_head()
    part = begun(Gaussians(shrinkage=0.0), head)
    step, seen = watched(make_step([0, 1, 2] * 200, head))
    part.loss(step)
    nearest = seen[0].argmax(1)
    for label in range(3):
        drawn, real = seen[0][nearest == label], step.labeled.features[step.labels == label].detach()
        torch.testing.assert_close(drawn.mean(0), real.mean(0), rtol=0, atol=0.12)
        torch.testing.assert_close(drawn.std(0), real.std(0), rtol=0.3, atol=0)


def test_gaussians_of_one_row_each_are_the_rows() -> None:
    head = make_head()
    step, seen = watched(make_step([0, 1, 2], head))
    begun(Gaussians(), head).loss(step)
    distances = torch.cdist(seen[0], step.labeled.features.detach())
    assert distances.min(1).values.max() < 1e-5


PARTS = [Mixup(), Smote(), Gaussians()]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
class TestEveryFeatureAugmentation:
    def test_has_gradients_into_the_head_and_the_weight_as_factor(self, part: FeatureAugmentation) -> None:
        head, gradients = make_head(), []
        for weight in (1.0, 3.0):
            head.zero_grad()
            weighted = copy.deepcopy(part)
            weighted.weight = weight
            begun(weighted, head).loss(make_step([0, 1, 2, 0], head)).backward()
            gradients.append(head.weight.grad.clone())
        assert gradients[0].any()
        torch.testing.assert_close(gradients[1], 3 * gradients[0])

    def test_reaches_the_model_unless_it_draws_around_means(self, part: FeatureAugmentation) -> None:
        head = make_head()
        step = make_step([0, 1, 2, 0], head)
        begun(copy.deepcopy(part), head).loss(step).backward()
        assert (step.labeled.features.grad is None) == isinstance(part, Gaussians)

    def test_repeats_itself_by_seed(self, part: FeatureAugmentation) -> None:
        head, found = make_head(), []
        for seed in (0, 0, 1):
            begun_part = begun(copy.deepcopy(part), head, seed)
            steps = [make_step([0, 1, 2, 0, 1, 2], head, seed=number) for number in range(4)]
            found.append([begun_part.loss(step).item() for step in steps])
        assert found[0] == found[1] != found[2]

    @pytest.mark.parametrize("labels", [[1], [2, 2, 2]])
    def test_copes_with_one_row_and_with_one_class(self, part: FeatureAugmentation, labels: list[int]) -> None:
        head = make_head()
        fresh = begun(copy.deepcopy(part), head)
        assert all(math.isfinite(fresh.loss(make_step(labels, head, seed=seed)).item()) for seed in range(3))

    def test_is_float32_under_autocast(self, part: FeatureAugmentation) -> None:
        head = make_head()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            step = make_step([0, 1, 2, 0], head, dtype=torch.bfloat16)
            loss = begun(copy.deepcopy(part), head).loss(step)
        loss.backward()
        assert loss.dtype == torch.float32
        assert head.weight.grad.isfinite().all()

    def test_learns_where_all_weights_are_bf16(self, part: FeatureAugmentation) -> None:
        head = make_head().bfloat16()
        fresh, step = begun(copy.deepcopy(part), head), make_step([0, 1, 2, 0], head, dtype=torch.bfloat16)
        with of_bf16_true():
            fresh.loss(step).backward()
        assert head.weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Mixup, {"alpha": 0.0}),
        (Smote, {"neighbors": 0}),
        (Smote, {"memory": 0}),
        (Gaussians, {"shrinkage": 1.5}),
        (Gaussians, {"weight": -1.0}),
    ],
)
def test_options_out_of_range_are_named(kind: type[FeatureAugmentation], options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"augmentation\.features\.{next(iter(options))}: .* expected"):
        kind(**options)
