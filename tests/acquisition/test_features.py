from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_signals, random_policy

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES, FeatureMap, History, draw_anchors
from lit_react.acquisition.proposals import Batches

REDUNDANCY = SAMPLE_FEATURES.index("similarity to the nearest earlier pick of the batch")
GAIN = SAMPLE_FEATURES.index("coverage gained, uncertain rows first (facility location)")


def sample_feature(features, name):
    return features[:, SAMPLE_FEATURES.index(name)]


def state_feature(features, name):
    return features[STATE_FEATURES.index(name)]


def pool_size(signals):
    return max([*signals.rows, *signals.labeled_rows]) + 1


def make_history(signals, seed=1):
    """A history of three rounds in whose last one the model saw the pool somewhat differently."""
    rng = np.random.default_rng(seed)
    p = signals.probabilities + rng.random(signals.probabilities.shape).astype(np.float32)
    history = History(values=[0.5, 0.6, 0.55])
    history.remember(replace(signals, probabilities=p / p.sum(1, keepdims=True)), pool_size(signals))
    return history


def make_map(signals, history=None, spent=0.3, costs=None, **options):
    costs = np.ones(pool_size(signals)) if costs is None else costs
    return FeatureMap(signals, history or History(), costs, spent, np.random.default_rng(0), **options)


def everything(features):
    rows = features.signals.rows[::3]
    return features.state(), features.batch(rows), features.singles(rows)


def without_labels(signals):
    nothing = signals.labeled_rows[:0]
    return replace(
        signals,
        labeled_rows=nothing,
        labels=nothing,
        labeled_probabilities=signals.labeled_probabilities[:0],
        labeled_embeddings=signals.labeled_embeddings[:0],
    )


@pytest.mark.parametrize("rounds", [0, 3])
def test_features_are_as_many_as_their_names(rounds):
    signals = make_signals()
    features = make_map(signals, make_history(signals) if rounds else None)
    state, batch, singles = everything(features)
    assert state.shape == (len(STATE_FEATURES),)
    assert batch.shape == singles.shape == (len(signals.rows[::3]), len(SAMPLE_FEATURES))
    assert {part.dtype for part in (state, batch, singles)} == {np.dtype(np.float32)}


def renumbered(signals, history, order):
    """The same pool with other class ids; `order` leads from new id to old."""
    other = replace(
        signals,
        probabilities=signals.probabilities[:, order],
        labeled_probabilities=signals.labeled_probabilities[:, order],
        labels=np.argsort(order)[signals.labels],
    )
    known = history.predictions >= 0
    predictions = history.predictions.copy()
    predictions[known] = np.argsort(order)[predictions[known]]
    return other, replace(history, predictions=predictions)


def moved(signals, history, new_row):
    """The same pool in another order; `new_row` leads from old row to new."""
    order, labeled_order = np.argsort(new_row[signals.rows]), np.argsort(new_row[signals.labeled_rows])
    other = replace(
        signals,
        rows=new_row[signals.rows][order],
        probabilities=signals.probabilities[order],
        embeddings=signals.embeddings[order],
        labeled_rows=new_row[signals.labeled_rows][labeled_order],
        labels=signals.labels[labeled_order],
        labeled_probabilities=signals.labeled_probabilities[labeled_order],
        labeled_embeddings=signals.labeled_embeddings[labeled_order],
    )
    old_row = np.argsort(new_row)
    return other, replace(history, predictions=history.predictions[old_row], confidences=history.confidences[old_row])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), classes=st.integers(2, 6), permutation=st.randoms(use_true_random=False))
def test_numbering_of_the_classes_does_not_matter(seed, classes, permutation):
    signals = make_signals(seed, classes=classes)
    history = make_history(signals)
    order = np.array(permutation.sample(range(classes), classes))
    before, after = make_map(signals, history), make_map(*renumbered(signals, history, order))
    for one, two in zip(everything(before), everything(after), strict=True):
        assert np.allclose(one, two, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), shuffle=st.integers(0, 99))
def test_order_of_the_pool_does_not_matter(seed, shuffle):
    signals = make_signals(seed)
    n, costs = pool_size(signals), np.random.default_rng(seed).random(pool_size(make_signals(seed))) + 0.5
    history = make_history(signals)
    new_row = np.random.default_rng(shuffle).permutation(n)
    before = make_map(signals, history, costs=costs)
    after = make_map(*moved(signals, history, new_row), costs=costs[np.argsort(new_row)])
    rows = signals.rows[::3]
    assert np.allclose(before.state(), after.state(), atol=1e-5)
    assert np.allclose(before.batch(rows), after.batch(new_row[rows]), atol=1e-4)
    assert np.allclose(before.singles(rows), after.singles(new_row[rows]), atol=1e-4)


DETERMINISTIC = (
    "facility_location",
    "facility_location(exponent=0.5)",
    "transductive_design",
    "density_weighted_margin",
    "margin",
    "margin+transductive_design",
)
"""Rules that draw for ties only; `badge` and the clusterings draw by position, so another order is another batch."""


@pytest.fixture(scope="module")
def random_networks(tmp_path_factory):
    """Folders of policies with random weights."""
    folders = [tmp_path_factory.mktemp("policy") for _ in range(3)]
    for seed, folder in enumerate(folders):
        random_policy(seed, spread=5.0).save(folder)
    return folders


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 99), shuffle=st.integers(0, 99), classes=st.integers(2, 6), network=st.integers(0, 2))
def test_the_same_batch_is_bought_whatever_the_order_of_the_pool_and_the_numbering_of_the_classes(
    random_networks, seed, shuffle, classes, network
):
    signals, rng = make_signals(seed, unlabeled=60, classes=classes), np.random.default_rng(shuffle)
    history = make_history(signals)
    new_row = rng.permutation(pool_size(signals))
    other = renumbered(*moved(signals, history, new_row), rng.permutation(classes))
    decisions, batches = [], []
    for seen in ((signals, history), other):
        features = make_map(*seen)
        policy, agent = Batches(DETERMINISTIC), DoubleDQN(str(random_networks[network]), doubt=-10.0, alpha_start=0.1)
        proposals = policy.propose(features.signals, 8, np.random.default_rng(0))
        options = policy.options(proposals, features, 8)
        decisions.append(agent.draw(torch.from_numpy(features.state()), options, spent=0.0))
        batches.append([proposal.rows for proposal in proposals])
    for before, after in zip(*batches, strict=True):
        assert np.array_equal(new_row[before], after)
    here, there = decisions
    assert torch.allclose(here.q, there.q, atol=1e-3)
    assert here.taken == there.taken
    assert len(set(here.q.tolist())) > 1, "the network tells batches apart"


@pytest.mark.parametrize(
    "signals",
    [
        without_labels(make_signals()),
        make_signals(unlabeled=1),
        without_labels(make_signals(unlabeled=1)),
        make_signals(classes=1),
        make_signals(classes=50, labeled=2),
        make_signals(unlabeled=30, copies=30),
        make_signals(unlabeled=2, copies=2, labeled=1, classes=2),
        replace(make_signals(), embeddings=make_signals().embeddings.astype(np.float16)),
        replace(make_signals(), embeddings=np.zeros_like(make_signals().embeddings)),
    ],
    ids=["no labels", "one row", "one row alone", "one class", "many classes", "duplicates", "twins", "half", "zeros"],
)
@pytest.mark.parametrize("rounds", [0, 3])
def test_features_are_finite_on_odd_pools(signals, rounds):
    features = make_map(signals, make_history(signals) if rounds else None)
    for part in everything(features):
        assert np.isfinite(part).all()


def test_a_map_of_few_anchors_resembles_the_exact_one():
    signals = make_signals(unlabeled=400, dimension=4)
    exact, sampled = (
        make_map(signals),
        make_map(signals, anchors=draw_anchors(len(signals), np.random.default_rng(0), most=200)),
    )
    assert len(sampled.anchors) == 200
    rows = signals.rows[::7]
    for name in ("rank of 1 - margin", "rank of entropy", "rank of that similarity"):
        one, two = (sample_feature(features.batch(rows), name) for features in (exact, sampled))
        assert np.abs(one - two).max() < 0.15


def test_first_of_a_batch_is_not_redundant_and_a_copy_is_wholly():
    signals = make_signals(copies=2)
    features = make_map(signals).batch(signals.rows[[4, 5, 8]])
    assert features[0, REDUNDANCY] == 0
    assert features[1, REDUNDANCY] == pytest.approx(1, abs=1e-5)
    direct = max(0, *(signals.embeddings[[4, 5]] @ signals.embeddings[8]))
    assert features[2, REDUNDANCY] == pytest.approx(direct, abs=1e-5)


def test_coverage_gain_falls_along_a_batch_and_a_copy_gains_nothing():
    signals = make_signals(copies=2)
    features = make_map(signals)
    twice, alone = features.batch(signals.rows[[0, 1, 6, 7]]), features.singles(signals.rows[[0, 1, 6, 7]])
    assert twice[0, GAIN] == pytest.approx(alone[0, GAIN], rel=1e-4)
    assert twice[1, GAIN] == pytest.approx(0, abs=1e-5)
    assert alone[1, GAIN] == pytest.approx(alone[0, GAIN], rel=1e-4)
    assert np.all(twice[:, GAIN] <= alone[:, GAIN] + 1e-5), "gains only shrink as the batch grows"


def test_coverage_gains_by_hand():
    signals = make_signals(unlabeled=12, labeled=3)
    rows = signals.rows[[2, 9]]
    margin = signals.margin
    weight = np.array([(np.sum(-margin < -m) + 0.5 * np.sum(margin == m)) / 12 for m in margin]) ** 3
    covered = np.maximum(signals.embeddings @ signals.labeled_embeddings.T, 0).max(1)
    total = (weight * (1 - covered)).sum()
    expected = []
    for position in (2, 9):
        better = np.maximum(covered, signals.embeddings @ signals.embeddings[position])
        expected.append(10 * (weight * (better - covered)).sum() / total)
        covered = better
    assert np.allclose(make_map(signals).batch(rows)[:, GAIN], expected, rtol=1e-3)


def test_a_batch_of_one_is_described_like_a_single():
    signals = make_signals()
    features = make_map(signals, make_history(signals))
    rows = signals.rows[[3, 11]]
    alone = np.concatenate([features.batch(rows[:1]), features.batch(rows[1:])])
    assert np.allclose(features.singles(rows), alone, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_no_feature_hangs_on_what_rounding_may_do(seed):
    """Processors and products of other shapes give other last bits; rows that are there several times tie."""
    signals = make_signals(seed, unlabeled=48, copies=4)
    rng = np.random.default_rng(seed)

    def rounded(values):
        return (values + rng.uniform(-1e-6, 1e-6, values.shape)).astype(np.float32)

    other = replace(signals, probabilities=rounded(signals.probabilities))
    vars(other)["similarities"] = rounded(signals.embeddings @ signals.embeddings.T)
    history = make_history(signals)
    for one, two in zip(everything(make_map(signals, history)), everything(make_map(other, history)), strict=True):
        assert np.allclose(one, two, atol=1e-4)


def test_a_row_is_ranked_among_the_others():
    signals = make_signals(unlabeled=3)
    order = np.argsort(-signals.margin)
    ranks = sample_feature(make_map(signals).batch(signals.rows), "rank of 1 - margin")
    assert ranks[order].tolist() == [0, 0.5, 1]


def test_rows_that_the_last_round_did_not_score_are_no_changed_predictions():
    signals = make_signals(unlabeled=10, labeled=4, classes=4)
    history = History(values=[0.5])
    history.remember(signals, pool_size(signals))
    history.predictions[signals.rows[2:]] = -1
    history.predictions[signals.rows[0]] = (history.predictions[signals.rows[0]] + 1) % 4
    name = "share of predictions that changed since the last round"
    assert state_feature(make_map(signals, history).state(), name) == 0.5


def test_state_by_hand():
    signals = make_signals(unlabeled=10, labeled=4, classes=4)
    signals = replace(signals, labels=np.array([0, 0, 1, 1]))
    history = History(values=[0.5, 0.7, 0.6])
    history.remember(signals, pool_size(signals))
    history.predictions[signals.rows[:3]] = (history.predictions[signals.rows[:3]] + 1) % 4
    state = make_map(signals, history, spent=0.25).state()
    entropy = -(signals.probabilities * np.log(signals.probabilities)).sum(1).mean() / np.log(4)
    to_labeled = signals.embeddings @ signals.labeled_embeddings.T
    by_name = {
        "budget spent (share)": 0.25,
        "log2 labels per class / 10": 0.1,
        "mean normalised entropy": entropy,
        "class coverage of the labels": 0.5,
        "normalised entropy of the labels' classes": 0.5,
        "share of predictions that changed since the last round": 0.3,
        "metric": 0.6,
        "last gain x 10": -1.0,
        "gain before that x 10": 2.0,
        "log10 classes": np.log10(4),
        "log10 pool size / 6": 1 / 6,
        "mean similarity to the nearest labeled": np.maximum(to_labeled.max(1), 0).mean(),
        "mean similarity of the pool": (signals.embeddings @ signals.embeddings.T).mean(),
        "share predicted otherwise than the nearest labeled": np.mean(
            signals.labels[to_labeled.argmax(1)] != signals.predictions
        ),
    }
    for name, value in by_name.items():
        assert state_feature(state, name) == pytest.approx(value, abs=1e-5), name


def test_changes_since_the_last_round_by_hand():
    signals = make_signals(unlabeled=6, classes=2)
    history = History(values=[0.5])
    history.remember(signals, pool_size(signals))
    history.predictions[signals.rows[1]] = 1 - history.predictions[signals.rows[1]]
    history.confidences[signals.rows[2]] -= 0.1
    features = make_map(signals, history).samples(signals.rows)
    assert features[:, SAMPLE_FEATURES.index("prediction changed since the last round")].tolist() == [0, 1, 0, 0, 0, 0]
    drift = features[:, SAMPLE_FEATURES.index("change of confidence since the last round")]
    assert np.allclose(drift, [0, 0, 0.1, 0, 0, 0], atol=1e-6)


def test_coverage_gained_where_all_rows_count_alike_by_hand():
    signals = make_signals(unlabeled=12, labeled=3)
    covered = np.maximum(signals.embeddings @ signals.labeled_embeddings.T, 0).max(1)
    total, expected = (1 - covered).sum(), []
    for position in (2, 9):
        better = np.maximum(covered, signals.embeddings @ signals.embeddings[position])
        expected.append(10 * (better - covered).sum() / total)
        covered = better
    gained = sample_feature(make_map(signals).batch(signals.rows[[2, 9]]), "coverage gained, all rows alike")
    assert np.allclose(gained, expected, rtol=1e-3)


def test_features_are_the_same_from_similarities_that_are_there_already():
    signals, given = make_signals(), make_signals()
    assert given.similarities is not None
    history = make_history(signals)
    anchors = draw_anchors(len(signals), np.random.default_rng(0), most=25)
    before, after = (make_map(seen, history, anchors=anchors) for seen in (signals, given))
    assert "similarities" not in vars(signals)
    for one, two in zip(everything(before), everything(after), strict=True):
        assert np.allclose(one, two, atol=1e-6)
    vars(given)["similarities"] = -given.similarities
    assert not np.allclose(everything(make_map(given, history))[1], everything(before)[1], atol=0.1), "they are read"


def test_similarities_of_pools_too_large_for_memory_are_not_made(monkeypatch):
    monkeypatch.setattr("lit_react.acquisition.signals.MANY_ROWS", 39)
    assert make_signals(unlabeled=40).similarities is None
    found = make_signals(unlabeled=39)
    assert np.allclose(found.similarities, found.embeddings @ found.embeddings.T)


def test_nearest_labeled_row_and_its_class():
    signals = make_signals(unlabeled=20, labeled=5)
    similarity = signals.embeddings @ signals.labeled_embeddings.T
    features = make_map(signals).batch(signals.rows)
    assert np.allclose(sample_feature(features, "similarity to the nearest labeled"), similarity.max(1), atol=1e-5)
    other = signals.labels[similarity.argmax(1)] != signals.predictions
    assert np.array_equal(sample_feature(features, "nearest labeled has another class than predicted"), other)


def test_cost_is_relative_to_the_pools_mean():
    signals = make_signals()
    costs = np.random.default_rng(0).random(pool_size(signals)) + 0.1
    batch = make_map(signals, costs=costs).batch(signals.rows[:5])
    assert np.allclose(sample_feature(batch, "relative cost"), costs[signals.rows[:5]] / costs.mean())


def test_a_history_survives_its_state():
    signals = make_signals()
    history, loaded = make_history(signals), History()
    loaded.load_state_dict(history.state_dict())
    assert loaded.values == history.values
    assert np.array_equal(loaded.predictions, history.predictions)
    assert np.array_equal(loaded.confidences, history.confidences)
    assert all(isinstance(v, (list, torch.Tensor)) for v in history.state_dict().values())
