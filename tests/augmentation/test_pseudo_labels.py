"""Generated labels in a fit: what the generator is shown, which rows get its labels, what they add to the loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from clusters import make_fit

from lit_react.augmentation.labels import GeneratedLabels, LabeledPool, LabelGenerator, SelfTraining
from lit_react.augmentation.part import Fit, Step, View
from lit_react.augmentation.pseudo_labels import PseudoLabels
from lit_react.augmentation.trust import Trust

EMBEDDINGS = {
    split: (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    for split, points in zip(("pool", "validation"), np.random.default_rng(0).normal(size=(2, 40, 5)), strict=True)
}
FIT = make_fit([0, 1, 0, 1, 1, 0], unlabeled=30, validation=[1] * 10 + [0] * 10, num_classes=2)


def embed(split: str, rows: np.ndarray) -> np.ndarray:
    return EMBEDDINGS[split][rows]


class Certain(LabelGenerator):
    """Says that every unlabeled row is of class 1; remembers what it was shown."""

    def label(self, pool: LabeledPool, rows: np.ndarray, seed: int) -> GeneratedLabels:
        self.pool = pool
        targets = np.zeros((len(rows), pool.num_classes), dtype=np.float32)
        targets[:, 1] = 1
        return GeneratedLabels(rows, targets, np.ones(len(rows), dtype=np.float32), {"said": 1.0})


def begun(source: LabelGenerator, fit: Fit = FIT, weight: float = 1.0, trust: Trust | None = None) -> PseudoLabels:
    part = PseudoLabels(source, weight, trust or Trust())
    part.begin(fit)
    return part


def generated(source: LabelGenerator, **options) -> PseudoLabels:
    """As it is when labels have just been generated."""
    part = begun(source, **options)
    part.before_step(part.trust.start, embed)
    return part


def step_of(logits: torch.Tensor, places: list[int], progress: float = 0.5) -> Step:
    view = View(torch.zeros(len(logits), 4), logits)
    labeled, unlabeled = view.cut(len(logits) - len(places))
    labels = torch.zeros(len(labeled.logits), dtype=torch.int64)
    there = unlabeled if places else None
    return Step(labeled, labels, there, torch.tensor(places), lambda made: made, lambda rows: rows, progress)


def test_the_generator_sees_validation_texts_as_unlabeled_rows_and_is_measured_on_them() -> None:
    part = generated(Certain())
    pool = part.source.pool
    assert len(pool.embeddings) == 6 + 30 + 20
    assert pool.rows.tolist() == list(range(6))
    assert pool.classes.tolist() == [0, 1, 0, 1, 1, 0]
    np.testing.assert_array_equal(pool.embeddings[:36], EMBEDDINGS["pool"][:36])
    np.testing.assert_array_equal(pool.embeddings[36:], EMBEDDINGS["validation"][:20])
    assert part.trust.generator_accuracy == 0.5


def test_rows_of_a_pool_are_known_by_their_numbers_there() -> None:
    fit = replace(FIT, labeled=np.arange(0, 12, 2), unlabeled=np.arange(1, 13, 3), validation=np.array([3, 4]))
    part = generated(Certain(), fit=replace(fit, validation_classes=np.array([1, 0])))
    np.testing.assert_array_equal(part.generated.rows, [1, 4, 7, 10])
    seen = np.concatenate([EMBEDDINGS["pool"][[*fit.labeled, *fit.unlabeled]], EMBEDDINGS["validation"][[3, 4]]])
    np.testing.assert_array_equal(part.source.pool.embeddings, seen)


def test_labels_are_generated_when_it_is_time_to_and_once() -> None:
    part = begun(Certain())
    part.before_step(0.3, embed)
    assert part.generated is None
    assert part.trust.generator_accuracy is None
    part.before_step(0.4, embed)
    first = part.generated
    np.testing.assert_array_equal(first.rows, FIT.unlabeled)
    part.before_step(0.5, embed)
    assert part.generated is first


def test_a_refit_that_follows_lost_trust_generates_nothing() -> None:
    before = generated(Certain())
    before.validated(0.9)
    part = begun(Certain(), trust=before.trust.for_refit())
    part.before_step(0.5, embed)
    assert part.generated is None


def test_without_validation_rows_nothing_is_measured() -> None:
    alone = make_fit([0, 1, 0], unlabeled=5, num_classes=2)
    assert generated(Certain(), fit=alone).trust.generator_accuracy is None


def test_a_batch_s_rows_have_the_labels_that_were_generated_for_them() -> None:
    class Half(Certain):
        """Labels every other row; the further behind, the surer."""

        def label(self, pool, rows, seed):
            found = super().label(pool, rows, seed)
            shares = np.linspace(0.5, 1, len(rows), dtype=np.float32)
            targets = np.stack([1 - shares, shares], 1)
            return GeneratedLabels(found.rows[::2], targets[::2], found.weights[::2])

    part = generated(Half(), weight=2.0, trust=Trust("always", ramp=0))
    shares = np.linspace(0.5, 1, 50)
    logits = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]], requires_grad=True)
    logs = logits.log_softmax(1)
    by_hand = 2.0 * -((1 - shares[4]) * logs[1, 0] + shares[4] * logs[1, 1]) / 2  # the other has no label
    torch.testing.assert_close(part.loss(step_of(logits, [4, 7])), by_hand.float())
    other = 2.0 * -((1 - shares[22]) * logs[2, 0] + shares[22] * logs[2, 1]) / 2
    torch.testing.assert_close(part.loss(step_of(logits, [7, 22])), other.float())


def test_weights_are_relative_to_each_other() -> None:
    class Doubtful(Certain):
        def label(self, pool, rows, seed):
            weights = np.where(np.arange(len(rows)) % 2, 0.0, np.linspace(0.01, 0.03, len(rows)))
            return replace(super().label(pool, rows, seed), weights=weights.astype(np.float32))

    weights = generated(Doubtful()).generated.weights
    assert weights[weights > 0].mean() == pytest.approx(1)
    assert (weights == 0).any()


def test_generated_labels_wait_and_count_as_far_as_the_generator_is_better() -> None:
    part = generated(Certain())  # right on half of the validation rows

    def loss(progress: float) -> float:
        part.before_step(progress, embed)
        return float(part.loss(step_of(torch.zeros(3, 2), [0, 1])))

    assert loss(0.5) == 0.0, "the model was not validated yet"
    losses = {}
    for accuracy in (0.4, 0.5, 0.56):
        part.validated(accuracy)
        losses[accuracy] = loss(0.7)
    assert losses == pytest.approx({0.4: np.log(2), 0.5: np.log(2) / 2, 0.56: 0.0})
    part.validated(0.4)
    assert loss(0.5) == pytest.approx(losses[0.4] / 2), "they are half way to counting in full"
    assert part.wants_unlabeled()
    assert loss(0.39) == 0.0, "the bought labels come first"
    assert not part.wants_unlabeled(), "then the batches have no unlabeled rows"


def test_a_batch_without_unlabeled_rows_has_no_such_loss() -> None:
    assert generated(Certain(), trust=Trust("always", ramp=0)).loss(step_of(torch.zeros(2, 2), [])) == 0


def test_trust_compares_on_the_same_rows_whatever_the_gate() -> None:
    parts = [generated(SelfTraining(threshold=threshold)) for threshold in (0.0, 0.6, 1.0)]
    assert len({part.trust.generator_accuracy for part in parts}) == 1
    assert len({part.report()["generated"] for part in parts}) == 3


def test_generated_labels_are_compared_with_gold_ones_where_there_are_some() -> None:
    part = generated(Certain())
    gold = [1 if row % 4 else 0 for row in range(40)]
    right = np.mean([gold[row] for row in FIT.unlabeled])
    assert part.compared(gold, int) == pytest.approx({"generated_accuracy": right, "generated_accuracy_all": right})
    assert part.compared([None] * 40, int) == {}
    assert part.report()["said"] == 1.0
    assert part.report()["generated"] == 30
    assert begun(Certain()).compared(gold, int) == {}


def test_labels_that_count_are_counted() -> None:
    part = generated(Certain())
    assert part.counted == 0, "they are not trusted"
    part.validated(0.4)
    assert part.counted == 30
