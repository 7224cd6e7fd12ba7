"""The LGAN: what its labels are worth on toys, what its losses are, and what holds for every pool."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_moons
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from lit_react.augmentation.labels.base import LabeledPool
from lit_react.augmentation.labels.label_gan.generator import LabelGAN, judge_pairs
from lit_react.augmentation.labels.label_gan.losses import (
    discriminator_loss,
    generator_loss,
    prior_gap,
)
from lit_react.augmentation.labels.label_gan.networks import Discriminator, FeatureNetwork, Views
from lit_react.core.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = {"pretraining_steps": 10, "steps": 40}
UNTRAINED = {"pretraining_steps": 0, "steps": 0}
LOSSES = ["hinge", *(pytest.param(name, marks=pytest.mark.slow) for name in ("linear", "non_saturating"))]
SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))]
QUICK = {"pretraining_steps": 3, "steps": 6, "batch_size": 16, "width": 8, "samples": 2}


def unit(points):
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)


def moons(seed=0, n=400, labels=(4, 4), frequency=2.5):
    """Two moons on a sphere of many dimensions (random Fourier features); a few labels of each."""
    points, classes = make_moons(n, noise=0.08, random_state=seed)
    rng = np.random.default_rng(seed)
    embeddings = unit(np.cos(points @ rng.normal(size=(2, 64)) * frequency + rng.uniform(0, 2 * np.pi, 64)))
    rows = np.sort(np.concatenate([rng.permutation(np.flatnonzero(classes == c))[: labels[c]] for c in (0, 1)]))
    return LabeledPool(embeddings, rows, classes[rows].astype(np.int64), 2), classes


def blobs(sizes, labels, seed=0, classes=None, spread=0.6):
    """One cloud per class on a sphere of 16 dimensions; the first rows of each class are labeled."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(sizes)), sizes)
    embeddings = unit(rng.normal(size=(len(sizes), 16))[truth] + spread * rng.normal(size=(len(truth), 16)))
    rows = np.concatenate([np.flatnonzero(truth == c)[:count] for c, count in enumerate(labels)]).astype(np.int64)
    return LabeledPool(embeddings, rows, truth[rows], classes or len(sizes)), truth


def accuracy(generated, truth):
    return (generated.targets.argmax(1) == truth[generated.rows]).mean()


@pytest.mark.parametrize("loss", LOSSES)
def test_few_labels_spread_over_two_moons(loss):
    pool, truth = moons()
    generated = LabelGAN(loss=loss, **SHORT).generate(pool, seed=0)
    straight = LogisticRegression(C=20).fit(pool.embeddings[pool.rows], pool.classes)
    assert accuracy(generated, truth) >= 0.85
    assert accuracy(generated, truth) >= straight.score(pool.embeddings[generated.rows], truth[generated.rows]) - 0.01


@pytest.mark.parametrize("loss", LOSSES)
def test_training_finds_more_of_the_moon_of_which_one_label_is_known(loss):
    recalls = {"start": [], "trained": []}
    for seed in range(3):
        pool, truth = moons(seed, labels=(1, 4), frequency=1.0)
        for name, lengths in {"start": UNTRAINED, "trained": {}}.items():
            generated = LabelGAN(loss, **lengths).generate(pool, seed=0)
            recalls[name].append((generated.targets.argmax(1)[truth[generated.rows] == 0] == 0).mean())
    assert np.mean(recalls["trained"]) > np.mean(recalls["start"]) + 0.08


@pytest.mark.parametrize("seed", SEEDS)
def test_training_finds_a_class_of_which_one_label_is_known_as_made_features_of_it_teach(seed):
    pool, truth = blobs([200, 200], [1, 8], spread=1.6, seed=seed)
    found = {}
    for name, options in {"start": UNTRAINED, "trained": {}, "nothing made": {"generated": 0.0}}.items():
        found[name] = accuracy(LabelGAN(**options).generate(pool, seed=seed), truth)
    assert found["trained"] > found["start"] + 0.02, "it starts as logistic regression"
    assert found["trained"] > found["nothing made"] + 0.015


@pytest.mark.parametrize("stage", ["pretraining_steps", "steps"])
def test_the_feature_generator_learns_to_please_the_discriminator_in_either_stage(stage):
    pool, _ = blobs([60, 60, 60], [5, 5, 5])
    classes = torch.arange(3).repeat_interleave(50)
    start, trained = (LabelGAN(**lengths).train(pool, seed=0) for lengths in (UNTRAINED, UNTRAINED | {stage: 60}))
    labels = None if stage == "pretraining_steps" else torch.eye(3)[classes]
    judge, liked = trained.training.players.discriminator, []
    with torch.no_grad():
        for gan in (start, trained):
            gan.training.generator.manual_seed(0)
            liked.append(float(judge(gan.training.features_of(classes), labels).mean()))
    assert liked[1] > liked[0]


@pytest.mark.parametrize("loss", LOSSES)
def test_training_never_costs_a_bought_row_its_label(loss):
    for seed in range(3):
        pool, _ = moons(seed)
        gan = LabelGAN(loss=loss, adversarial=1.0, generated=1.0, **SHORT).train(pool, seed=seed)
        guesses = gan.classes[gan.labels(pool.embeddings[pool.rows], 8).argmax(-1).numpy()]
        np.testing.assert_array_equal(guesses, pool.classes)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_discriminator_learns_which_labels_of_rows_it_has_not_seen_are_right(seed):
    pool, truth = blobs([150, 150, 150], [4, 4, 4], spread=1.3, seed=seed)
    rows = torch.from_numpy(pool.rows_to_label)
    features, gold = torch.from_numpy(pool.embeddings)[rows], torch.eye(3)[torch.from_numpy(truth)[rows]]
    liked, judged = {}, {}
    for name, lengths in {"trained": SHORT, "untrained": UNTRAINED}.items():
        part = LabelGAN(gate=0.0, **lengths)
        _, contrast = judge_pairs(part.train(pool, seed=0).training.players.discriminator, features, gold)
        liked[name] = float((contrast > 0).float().mean())
        generated = part.generate(pool, seed=0)
        right = generated.targets.argmax(1) == truth[generated.rows]
        judged[name] = roc_auc_score(right, generated.weights)
    assert liked["trained"] > 0.9 > 0.7 > liked["untrained"]
    assert judged["trained"] > max(0.7, judged["untrained"] + 0.1), "it weighs right labels above wrong ones"


def test_no_row_counts_where_the_discriminator_does_not_prefer_the_bought_labels():
    pool, _ = blobs([60, 60], [3, 3])
    bought, own = torch.from_numpy(pool.embeddings[pool.rows]), torch.eye(2)[torch.from_numpy(pool.classes)]
    preferred, counting = [], []
    for seed in range(10):
        part = LabelGAN(gate=0.0, **UNTRAINED)
        _, contrast = judge_pairs(part.train(pool, seed).training.players.discriminator, bought, own)
        preferred.append(bool(contrast.mean() > 0))
        counting.append(part.generate(pool, seed).report["coverage"] > 0)
    assert {True, False} <= set(preferred)
    assert counting == preferred


def test_no_row_below_the_gate_counts():
    pool, _ = blobs([60, 60], [3, 3], spread=1.5)
    for gate in (0.7, 0.9):
        generated = LabelGAN(gate=gate, **QUICK).generate(pool, seed=0)
        below = generated.targets.max(1) < gate
        assert below.any()
        assert not generated.weights[below].any()
        assert generated.report["coverage"] == pytest.approx((generated.weights > 0).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_prior_holds_a_rare_class_against_a_strong_adversary(seed):
    pool, truth = blobs([270, 30], [18, 2], spread=1.3, seed=seed)
    rare = truth[pool.rows_to_label] == 1
    shares, found = {}, {}
    for prior in (0.0, 20.0):
        generated = LabelGAN(prior=prior, adversarial=3.0, generated=0.0, **SHORT).generate(pool, seed=0)
        shares[prior] = generated.targets[:, 1].mean()
        found[prior] = (generated.targets.argmax(1)[rare] == 1).mean()
    assert shares[20] > 1.03 * shares[0]
    assert found[20] >= found[0]


def test_made_features_are_labeled_unit_vectors_near_their_class():
    pool, truth = blobs([60, 60, 60], [5, 5, 5])
    gan = LabelGAN(**SHORT).train(pool, seed=0)
    own = torch.arange(3).repeat_interleave(20)
    with torch.no_grad():
        features, classes = gan.training.features_of(own).numpy(), gan.classes[own.numpy()]
    assert features.shape == (60, 16)
    assert sorted(np.unique(classes, return_counts=True)[1]) == [20, 20, 20]
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, rtol=1e-5)
    centres = np.stack([pool.embeddings[truth == c].mean(0) for c in range(3)])
    assert ((features @ centres.T).argmax(1) == classes).mean() > 0.9
    assert len(np.unique(features.round(4), axis=0)) == 60, "noise makes each another one"


def test_a_made_feature_stays_within_the_spread():
    network = FeatureNetwork(6, 2, noise=3, width=8, spread=0.2)
    network.move.bias.data.fill_(1e4)
    rows = torch.nn.functional.normalize(torch.randn(5, 6), dim=-1)
    moved = network(rows, torch.zeros(5, dtype=torch.int64), torch.randn(5, 3))
    assert (moved * rows).sum(-1).min() >= math.cos(math.asin(0.2)) - 1e-5


def test_losses_are_those_of_the_papers():
    real, fakes = torch.tensor([2.0, 0.0]), [torch.tensor([1.0]), torch.tensor([-3.0])]
    soft = [math.log1p(math.exp(x)) for x in (-2.0, 0.0, 1.0, -3.0)]
    assert discriminator_loss("linear", real, fakes).item() == pytest.approx(-1 + (1 - 3) / 2)
    assert discriminator_loss("hinge", real, fakes).item() == pytest.approx((0 + 1) / 2 + (2 + 0) / 2)
    expected = (soft[0] + soft[1]) / 2 + (soft[2] + soft[3]) / 2
    assert discriminator_loss("non_saturating", real, fakes).item() == pytest.approx(expected)
    assert generator_loss("hinge", real).item() == -1
    assert generator_loss("non_saturating", real).item() == pytest.approx((soft[0] + soft[1]) / 2)


def test_the_linear_form_is_that_of_seed_2():
    """L_G = −E[D(G(z, y))], and L_D rises with the fakes and falls with the real pairs, each by its share."""
    fake, real = torch.tensor([0.5, -2.0, 3.0], requires_grad=True), torch.tensor([1.0, 4.0], requires_grad=True)
    loss = generator_loss("linear", fake)
    assert loss.item() == pytest.approx(-0.5)
    assert torch.autograd.grad(loss, fake)[0].tolist() == pytest.approx([-1 / 3] * 3)
    gradients = torch.autograd.grad(discriminator_loss("linear", real, [fake]), [real, fake])
    assert [g.tolist() for g in gradients] == [pytest.approx([-1 / 2] * 2), pytest.approx([1 / 3] * 3)]


def test_the_prior_gap_leaves_room_for_half_of_a_class():
    prior = torch.tensor([0.75, 0.25])
    assert prior_gap(torch.tensor([[0.8, 0.2], [0.9, 0.1]]), prior).item() == 0
    lost = prior_gap(torch.tensor([[0.9, 0.1], [1.0, 0.0]]), prior).item()
    assert lost == pytest.approx(0.25 * math.log(0.25 / (2 * 0.05)))


def test_the_discriminator_is_linear_in_the_label():
    features, kinds = torch.randn(4, 5), torch.eye(3)
    judge = Discriminator(features, 3, width=7).eval()
    each = torch.stack([judge(features, kinds[c].expand(4, -1)) for c in range(3)], dim=-1)
    mixed = torch.tensor([0.2, 0.3, 0.5])
    torch.testing.assert_close(judge(features, mixed.expand(4, -1)), each @ mixed)


def test_a_row_and_its_copy_are_no_neighbours():
    anchors = torch.eye(4)[[0, 0, 1]]
    around = Views(anchors, temperature=0.05)(anchors[:1])[0, 4:]
    torch.testing.assert_close(around * 2**0.5, torch.eye(4)[1])


def test_class_ids_are_names_only():
    pool, _ = blobs([40, 30, 30], [3, 3, 3], spread=1.2)
    other = np.array([2, 0, 1])
    renamed = LabeledPool(pool.embeddings, pool.rows, other[pool.classes], 3)
    first, second = (LabelGAN(**QUICK).generate(p, seed=1) for p in (pool, renamed))
    np.testing.assert_array_equal(second.targets[:, other], first.targets)
    np.testing.assert_array_equal(second.weights, first.weights)


def test_the_seed_decides_everything_and_the_global_generator_is_left_alone():
    pool, _ = blobs([40, 40], [3, 3])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = LabelGAN(**QUICK).generate(pool, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(6)
    again, another = (LabelGAN(**QUICK).generate(pool, seed=seed) for seed in (3, 4))
    np.testing.assert_array_equal(again.targets, first.targets)
    np.testing.assert_array_equal(again.weights, first.weights)
    assert again.report == first.report
    assert not np.array_equal(another.targets, first.targets)


@pytest.mark.parametrize(
    ("sizes", "labels"),
    [
        pytest.param([20, 20], [2, 0], id="a single labeled class"),
        pytest.param([20, 20], [0, 1], id="one label"),
        pytest.param([20, 20], [0, 0], id="no label"),
        pytest.param([5, 6], [5, 6], id="nothing left to label"),
    ],
)
def test_where_there_is_nothing_to_learn_or_to_label_no_row_is_labeled(sizes, labels):
    pool, _ = blobs(sizes, labels)
    generated = LabelGAN(**QUICK).generate(pool, seed=0)
    assert (generated.rows.shape, generated.targets.shape, generated.weights.shape) == ((0,), (0, 2), (0,))
    assert generated.report == {}


def test_more_rows_are_scored_than_are_trained_on():
    pool, _ = blobs([3000, 2000], [5, 5])
    generated = LabelGAN(max_anchors=50, **QUICK).generate(pool, seed=0)
    assert len(generated.rows) == 4990
    np.testing.assert_allclose(generated.targets.sum(1), 1, rtol=1e-5)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(1, 40),
    labeled=st.integers(0, 40),
    classes=st.integers(1, 60),
    loss=st.sampled_from(["linear", "non_saturating", "hinge"]),
    seed=st.integers(0, 2**31),
)
def test_every_answer_is_distributions_and_weights_of_unlabeled_rows(n, labeled, classes, loss, seed):
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(n)[:labeled])
    pool = LabeledPool(unit(rng.normal(size=(n, 5))), rows, rng.integers(classes, size=len(rows)), classes)
    generated = LabelGAN(loss=loss, gate=0.3, **QUICK).generate(pool, seed)
    assert set(generated.rows) <= set(pool.rows_to_label)
    assert (np.diff(generated.rows) > 0).all()
    assert (generated.targets.dtype, generated.weights.dtype) == (np.float32, np.float32)
    assert generated.targets.shape == (len(generated.rows), classes)
    assert (generated.targets >= 0).all()
    np.testing.assert_allclose(generated.targets.sum(1), 1, rtol=1e-4)
    assert ((generated.weights >= 0) & (generated.weights <= 1)).all()
    assert not generated.targets[:, np.setdiff1d(np.arange(classes), pool.classes)].any()
    assert all(math.isfinite(value) for value in generated.report.values())


@pytest.mark.parametrize(
    "option",
    [
        {"loss": "wasserstein"},
        {"gate": 1.2},
        {"adversarial": -1.0},
        {"generated": math.inf},
        {"temperature": 0.0},
        {"samples": 0},
        {"steps": -1},
    ],
)
def test_options_out_of_range_are_named(option):
    with pytest.raises(UserError, match=rf"^augmentation\.labels\.{next(iter(option))}: .*expected"):
        LabelGAN(**option)
