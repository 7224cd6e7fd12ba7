"""Every strategy picks the same rows, in the same order, as its definition written out in slow loops."""

import importlib

import numpy as np
import pytest

from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import STRATEGIES, geometry, signals_read
from lit_react.acquisition.strategies.clustering import cluster, cluster_margin, k_means, typiclust
from lit_react.acquisition.strategies.distance import badge, k_center
from lit_react.acquisition.strategies.dropout import dropquery, last_layer
from lit_react.acquisition.strategies.facility_location import coverage, facility_location
from lit_react.acquisition.strategies.fisher_information import bait
from lit_react.acquisition.strategies.herding import max_herding, uncertainty_herding
from lit_react.acquisition.strategies.probability_coverage import prob_cover, pure_radius
from lit_react.acquisition.strategies.refinement import refine
from lit_react.acquisition.strategies.transductive_design import transductive_design
from lit_react.acquisition.strategies.uncertainty import cal, density_weighted_margin

SEEDS = range(5)

SCORES = {name: min(read) for name, strategy in STRATEGIES.items() if (read := signals_read(strategy))}


def random_pool(seed, unlabeled=70, labeled=9, classes=4, dimension=8):
    """Signals of a pool in four soft clusters; some even rows are labeled."""
    rng = np.random.default_rng(seed)
    n = unlabeled + labeled
    points = rng.normal(size=(n, dimension)) + 2 * rng.normal(size=(4, dimension))[rng.integers(4, size=n)]
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    probabilities = rng.dirichlet(np.full(classes, 0.7), size=n).astype(np.float32)
    is_labeled = np.zeros(n, dtype=bool)
    is_labeled[rng.permutation(n)[:labeled]] = True
    return PoolSignals(
        rows=3 * np.flatnonzero(~is_labeled),  # positions are not rows
        probabilities=probabilities[~is_labeled],
        embeddings=points[~is_labeled],
        labeled_rows=3 * np.flatnonzero(is_labeled),
        labels=rng.integers(classes, size=labeled),
        labeled_probabilities=probabilities[is_labeled],
        labeled_embeddings=points[is_labeled],
        head_inputs=rng.normal(size=(unlabeled, 5)).astype(np.float32),
        scores={name: rng.random(unlabeled).astype(np.float32) for name in SCORES.values()},
    )


def margins(signals):
    return [np.sort(p)[-1] - np.sort(p)[-2] for p in signals.probabilities]


def by_score(signals, score, k):
    """Rows of the k highest scores."""
    return signals.rows[sorted(range(len(signals)), key=lambda i: -score(i))[:k]]


def visit(clusters, order, k):
    """Pop the first member of each cluster in turn until there are k."""
    picks = []
    while len(picks) < k and any(clusters.values()):
        for c in order:
            if clusters.get(c) and len(picks) < k:
                picks.append(clusters[c].pop(0))
    return picks


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("least_confidence", lambda s, i: 1 - max(s.probabilities[i])),
        ("margin", lambda s, i: -margins(s)[i]),
        ("entropy", lambda s, i: -sum(p * np.log(p) for p in s.probabilities[i].astype(float) if p > 0)),
        *((name, lambda s, i, score=score: s.scores[score][i]) for name, score in SCORES.items()),
    ],
)
def test_scores_rank_rows_as_their_formula_does(seed, name, score):
    signals = random_pool(seed)
    picks = STRATEGIES[name](signals, 15, np.random.default_rng(0))
    np.testing.assert_array_equal(picks, by_score(signals, lambda i: score(signals, i), 15))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("with_head_inputs", [True, False])
def test_badge_picks_as_k_means_plus_plus_on_written_out_gradients(seed, with_head_inputs):
    signals = random_pool(seed)
    if not with_head_inputs:
        signals = PoolSignals(**{**vars(signals), "head_inputs": None})
    inputs = signals.head_inputs if with_head_inputs else signals.embeddings
    gradients = []
    for p, h in zip(signals.probabilities.astype(float), inputs.astype(float), strict=True):
        p[p.argmax()] -= 1
        gradients.append(np.outer(p, h).ravel())
    rng = np.random.default_rng(seed)
    picks = [max(range(len(signals)), key=lambda i: np.linalg.norm(gradients[i]))]
    while len(picks) < 12:
        distances = np.array([min(np.sum((g - gradients[j]) ** 2) for j in picks) for g in gradients])
        picks.append(rng.choice(len(signals), p=distances / distances.sum()))
    np.testing.assert_array_equal(badge(signals, 12, np.random.default_rng(seed)), signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("neighbors", [3, 100])
def test_cal_scores_by_divergence_from_the_nearest_labeled_rows(seed, neighbors):
    signals = random_pool(seed)

    def score(i):
        distances = [np.linalg.norm(signals.embeddings[i] - e) for e in signals.labeled_embeddings]
        divergences = [
            sum(
                q * np.log(q / p)
                for q, p in zip(signals.labeled_probabilities[j], signals.probabilities[i], strict=True)
            )
            for j in np.argsort(distances)[:neighbors]
        ]
        return np.mean(divergences)

    picks = cal(signals, 15, np.random.default_rng(0), neighbors=neighbors)
    np.testing.assert_array_equal(picks, by_score(signals, score, 15))


@pytest.mark.parametrize("seed", SEEDS)
def test_k_center_picks_the_row_farthest_from_all_centres(seed):
    signals = random_pool(seed)
    points, centres = signals.embeddings.astype(float), list(signals.labeled_embeddings.astype(float))
    picks = []
    for _ in range(15):
        farness = [min(np.linalg.norm(x - c) for c in centres) for x in points]
        picks.append(int(np.argmax(farness)))
        centres.append(points[picks[-1]])
    np.testing.assert_array_equal(k_center(signals, 15, np.random.default_rng(0)), signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
def test_k_means_picks_the_row_nearest_to_each_centre(seed):
    signals, k = random_pool(seed), 5  # few, as both rows of a cluster of two are equally near
    labels, _ = cluster(signals.embeddings, k, np.random.default_rng(seed))
    members = {c: [i for i in range(len(signals)) if labels[i] == c] for c in range(k)}
    picks = []
    for c in sorted(members, key=lambda c: -len(members[c])):
        centre = np.mean(signals.embeddings[members[c]], axis=0)
        picks.append(min(range(len(signals)), key=lambda i: np.linalg.norm(signals.embeddings[i] - centre)))
    np.testing.assert_array_equal(k_means(signals, k, np.random.default_rng(seed)), signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("max_clusters", [500, 6])
def test_typiclust_picks_the_most_typical_row_of_the_least_covered_clusters(seed, max_clusters):
    signals = random_pool(seed)
    n, k, neighbors = len(signals), 8, 4
    points = np.concatenate([signals.embeddings, signals.labeled_embeddings])
    count = min(k + len(signals.labels), max_clusters)
    labels, _ = cluster(points, count, np.random.default_rng(seed))
    members = {c: np.flatnonzero(labels == c) for c in range(count)}

    def typicality(i):
        distances = sorted(np.linalg.norm(points[i] - points[j]) for j in members[labels[i]] if j != i)
        return 1 / np.mean(distances[:neighbors]) if distances else np.inf

    def priority(c):
        return len(members[c]) < 6, sum(i >= n for i in members[c]), -len(members[c])

    unlabeled = {c: sorted((i for i in members[c] if i < n), key=typicality, reverse=True) for c in members}
    picks = visit(unlabeled, sorted(members, key=priority), k)
    rows = typiclust(signals, k, np.random.default_rng(seed), neighbors=neighbors, max_clusters=max_clusters)
    np.testing.assert_array_equal(rows, signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("radius", [None, 0.5])
def test_prob_cover_picks_the_ball_with_most_uncovered_rows(seed, radius):
    signals = random_pool(seed)
    points = signals.embeddings.astype(float)
    rng = np.random.default_rng(seed)
    delta = radius or pure_radius(signals.embeddings, signals.num_classes, rng)
    close = [[np.linalg.norm(x - y) <= delta for y in points] for x in points]
    uncovered = {
        i for i, x in enumerate(points) if all(np.linalg.norm(x - c) > delta for c in signals.labeled_embeddings)
    }
    picks = []
    while uncovered and len(picks) < 10:
        picks.append(max(range(len(points)), key=lambda j: sum(close[i][j] for i in uncovered)))
        uncovered -= {i for i in uncovered if close[i][picks[-1]]}
    assert picks
    rows = prob_cover(signals, 10, np.random.default_rng(seed), radius=radius)
    np.testing.assert_array_equal(rows[: len(picks)], signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
def test_pure_radius_is_the_largest_whose_balls_are_pure_often_enough(seed):
    points = random_pool(seed).embeddings
    radius = pure_radius(points, 4, np.random.default_rng(seed), purity=0.9)
    labels, _ = cluster(points, 4, np.random.default_rng(seed))

    def share_of_pure_balls(r):
        return np.mean([len(set(labels[np.linalg.norm(points - x, axis=1) <= r])) == 1 for x in points])

    assert share_of_pure_balls(radius) >= 0.9 > share_of_pure_balls(1.01 * radius) - 0.1
    assert share_of_pure_balls(1.3 * radius) < 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_cluster_margin_visits_small_clusters_first_and_takes_small_margins_first(seed):
    signals = random_pool(seed)
    margin, k = margins(signals), 6
    filtered = sorted(range(len(signals)), key=lambda i: margin[i])[: 4 * k]
    rng = np.random.default_rng(seed)
    rng.permutation(len(signals))  # what breaking ties in the filter draws
    labels, _ = cluster(signals.embeddings[filtered], k, rng)
    members = {c: [i for i, label in zip(filtered, labels, strict=True) if label == c] for c in range(k)}
    picks = visit(members, sorted(members, key=lambda c: len(members[c])), k)
    rows = cluster_margin(signals, k, np.random.default_rng(seed), multiple=4)
    np.testing.assert_array_equal(rows, signals.rows[picks])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("exponent", [1.0, 2.5])
def test_density_weighted_margin_multiplies_uncertainty_and_similarity_to_neighbours(seed, exponent):
    signals = random_pool(seed)
    points, margin = signals.embeddings.astype(float), margins(signals)

    def score(i):
        similarities = sorted((max(points[i] @ points[j], 0) for j in range(len(points)) if j != i), reverse=True)
        return (1 - margin[i]) * np.mean(similarities[:5]) ** exponent

    rows = density_weighted_margin(signals, 15, np.random.default_rng(0), neighbors=5, exponent=exponent)
    np.testing.assert_array_equal(rows, by_score(signals, score, 15))


def location_weights(signals, exponent):
    """(Rank of −margin / n)^exponent, the most uncertain row has rank n."""
    margin = margins(signals)
    return [(sum(other >= own for other in margin) / len(margin)) ** exponent for own in margin]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kept_elements", [0, 2**25])
@pytest.mark.parametrize(("power", "exponent"), [(1.0, 3.0), (2.0, 1.0), (1.0, 0.0)])
def test_facility_location_adds_the_row_with_the_largest_weighted_gain(
    monkeypatch, seed, power, exponent, kept_elements
):
    module = importlib.import_module("lit_react.acquisition.strategies.facility_location")
    monkeypatch.setattr(module, "KEPT_ELEMENTS", kept_elements)
    signals = random_pool(seed, unlabeled=150)
    points, weights = signals.embeddings.astype(float), location_weights(signals, exponent)
    similarity = np.maximum(points @ points.T, 0) ** power
    covered = [max(max(x @ e, 0) ** power for e in signals.labeled_embeddings) for x in points]
    rng = np.random.default_rng(0)
    rows = facility_location(signals, 15, rng, power=power, exponent=exponent)
    assert_greedy(rows, signals, weights, similarity, covered, ties=exponent == 0)
    if exponent == 0:
        np.testing.assert_array_equal(coverage(signals, 15, rng), rows)


def assert_greedy(rows, signals, weights, similarity, covered, ties):
    """Each row has the largest Σ w · max(s − c, 0); without weights, two rows may gain by each other alone: a tie."""
    for row in rows:
        gains = np.array(
            [
                sum(w * max(s - c, 0) for w, s, c in zip(weights, similarity[:, j], covered, strict=True))
                for j in range(len(similarity))
            ]
        )
        best = np.flatnonzero(gains > (1 - 1e-5) * gains.max())
        assert len(best) == 1 or ties
        pick = int(np.searchsorted(signals.rows, row))
        assert pick in best
        covered = [max(c, s) for c, s in zip(covered, similarity[:, pick], strict=True)]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kept_elements", [0, 2**25])
@pytest.mark.parametrize(
    ("labeled", "radius", "temperature"), [(9, None, 1.0), (9, 0.6, 1.0), (0, None, 2.5), (9, 1.5, 0.5)]
)
def test_uncertainty_herding_adds_the_row_with_the_largest_weighted_gain(
    monkeypatch, seed, labeled, radius, temperature, kept_elements
):
    module = importlib.import_module("lit_react.acquisition.strategies.facility_location")
    monkeypatch.setattr(module, "KEPT_ELEMENTS", kept_elements)
    signals = random_pool(seed, unlabeled=150, labeled=labeled)
    weights = []
    for p in signals.probabilities.astype(float):
        softened = np.sort(p ** (1 / temperature) / sum(p ** (1 / temperature)))
        weights.append(1 - softened[-1] + softened[-2])
    known = signals.labeled_embeddings.astype(float)
    if radius is None:
        distances = [np.linalg.norm(x - y) for i, x in enumerate(known) for y in known[:i]]
        sigma = min((d for d in distances if d >= 0.05), default=1.0)
    else:
        sigma = radius
    similarity, covered = gaussian_kernel(signals, sigma)
    options = {"radius": radius, "temperature": temperature}
    rows = uncertainty_herding(signals, 15, np.random.default_rng(0), **options)
    assert_greedy(rows, signals, weights, similarity, covered, ties=False)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("labeled", "radius"), [(9, 1.0), (9, 0.4), (0, 1.0)])
def test_max_herding_adds_the_row_with_the_largest_gain(seed, labeled, radius):
    signals = random_pool(seed, unlabeled=150, labeled=labeled)
    similarity, covered = gaussian_kernel(signals, radius)
    rows = max_herding(signals, 15, np.random.default_rng(0), radius=radius)
    assert_greedy(rows, signals, np.ones(len(signals)), similarity, covered, ties=True)


def gaussian_kernel(signals, radius):
    """exp(−‖x − x'‖² / radius²) of all pairs, and each row's to the nearest labeled row; 0 where there is none."""
    points, known = signals.embeddings.astype(float), signals.labeled_embeddings.astype(float)

    def kernel(x, y):
        return np.exp(-np.sum((x - y) ** 2) / radius**2)

    similarity = np.array([[kernel(x, y) for y in points] for x in points])
    return similarity, [max((kernel(x, y) for y in known), default=0.0) for x in points]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chunk_elements", [40, 2**22])
@pytest.mark.parametrize("labeled", [0, 9])
@pytest.mark.parametrize(("classes", "max_factors", "penalty"), [(3, 8192, 1.0), (2, 8192, 0.1), (4, 0, 0.3)])
def test_bait_adds_and_removes_by_the_trace_with_fisher_matrices_written_out(
    monkeypatch, seed, classes, max_factors, penalty, labeled, chunk_elements
):
    """All inverses are taken anew."""
    monkeypatch.setattr(geometry, "CHUNK_ELEMENTS", chunk_elements)
    signals = random_pool(seed, unlabeled=40, labeled=labeled, classes=classes)

    def fisher(p, h):
        h, p = h.astype(float), p.astype(float)
        if not max_factors:
            return max(p) * (1 - max(p)) * np.outer(h, h)
        gradients = [np.outer(np.eye(classes)[y] - p, h).ravel() for y in range(classes)]
        return sum(p[y] * np.outer(g, g) for y, g in enumerate(gradients))

    each = [fisher(p, h) for p, h in zip(signals.probabilities, signals.embeddings, strict=True)]
    known = zip(signals.labeled_probabilities, signals.labeled_embeddings, strict=True)
    start = sum((fisher(p, h) for p, h in known), penalty * np.eye(len(each[0])))

    def error(picks):
        return np.trace(np.linalg.inv(sum((each[i] for i in picks), start)) @ sum(each))

    picks = []
    while len(picks) < 14:
        picks.append(min((i for i in range(len(each)) if i not in picks), key=lambda i: error([*picks, i])))
    while len(picks) > 7:
        picks.remove(min(picks, key=lambda i: error([j for j in picks if j != i])))
    rows = bait(signals, 7, np.random.default_rng(0), penalty=penalty, max_factors=max_factors)
    np.testing.assert_array_equal(rows, signals.rows[picks])


def pool_of_a_head(seed, labeled=9):
    """A pool whose probabilities are those of a linear head on `head_inputs`, and the head."""
    signals, rng = random_pool(seed, unlabeled=200, labeled=labeled), np.random.default_rng([seed, 1])
    weight, bias = 3 * rng.normal(size=(8, 4)), rng.normal(size=4)
    logits = signals.embeddings.astype(float) @ weight + bias
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    fields = {"head_inputs": signals.embeddings.astype(np.float16), "probabilities": probabilities.astype(np.float32)}
    return PoolSignals(**{**vars(signals), **fields}), weight, bias


@pytest.mark.parametrize("seed", SEEDS)
def test_the_last_layer_is_found_from_what_it_reads_and_says(seed):
    signals, weight, bias = pool_of_a_head(seed)
    found, level = last_layer(signals.head_inputs.astype(np.float32), signals.probabilities)
    np.testing.assert_allclose(found, weight - weight.mean(axis=1, keepdims=True), atol=0.05)
    np.testing.assert_allclose(level, bias - bias.mean(), atol=0.02)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("labeled", [0, 9])
@pytest.mark.parametrize(("masks", "rate", "k"), [(3, 0.75, 5), (5, 0.5, 5), (3, 0.1, 30)])
def test_dropquery_clusters_the_rows_whose_prediction_most_masks_change(seed, labeled, masks, rate, k):
    signals, _, _ = pool_of_a_head(seed, labeled)
    inputs = signals.head_inputs.astype(np.float32)
    weight, bias = last_layer(inputs, signals.probabilities)

    def predicted(x):
        return int(np.argmax([x @ weight[:, c] + bias[c] for c in range(4)]))

    rng = np.random.default_rng(seed)
    drawn = [rng.random(inputs.shape, dtype=np.float32) >= rate for _ in range(masks)]
    changes = [sum(predicted(x * mask[i] / (1 - rate)) != predicted(x) for mask in drawn) for i, x in enumerate(inputs)]
    candidates = np.array([2 * count > masks for count in changes])
    rows = dropquery(signals, k, np.random.default_rng(seed), masks=masks, rate=rate)
    if candidates.sum() >= k:
        np.testing.assert_array_equal(rows, k_means(signals.select(candidates), k, rng))
    else:
        counts = sorted(changes, reverse=True)
        assert [changes[i] for i in np.searchsorted(signals.rows, rows)] == counts[:k]
    assert (candidates.sum() >= k) == (rate > 0.1)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("max_candidates", [5000, 30])
def test_refine_herds_what_rules_propose_on_parts_of_the_pool(seed, max_candidates):
    signals, rng = random_pool(seed, unlabeled=120), np.random.default_rng(seed)
    names = ("random", "margin", "badge", "bait", "typiclust", "dropquery", "max_herding", "uncertainty_herding")
    left = set(signals.rows.tolist())
    for _ in range(2):
        proposed, size = set(), max(4, min(int(0.4 * len(left)), max_candidates))
        for name in names:
            options = {"max_factors": 0} if name == "bait" else {}
            for _ in range(2):
                part = np.sort(rng.choice(len(left), size, replace=False))
                some = signals.select(np.isin(signals.rows, np.array(sorted(left))[part]))
                proposed |= set(STRATEGIES[name](some, 4, rng, **options).tolist())
        assert 4 <= len(proposed) < len(left)
        left = proposed
    expected = uncertainty_herding(signals.select(np.isin(signals.rows, list(left))), 4, rng)
    options = {"batches": 17, "depth": 2, "max_candidates": max_candidates}
    np.testing.assert_array_equal(refine(signals, 4, np.random.default_rng(seed), **options), expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("chunk_elements", [40, 2**22])
@pytest.mark.parametrize("labeled", [0, 9])
@pytest.mark.parametrize(("penalty", "exponent"), [(5.0, 3.0), (1.0, 3.0), (0.1, 0.0)])
def test_transductive_design_lowers_the_weighted_posterior_variance_most(
    monkeypatch, seed, penalty, exponent, labeled, chunk_elements
):
    """The inverse is taken anew for each row that could be picked."""
    monkeypatch.setattr(geometry, "CHUNK_ELEMENTS", chunk_elements)
    signals = random_pool(seed, labeled=labeled)
    points, weights = signals.embeddings.astype(float), np.array(location_weights(signals, exponent))
    precision = signals.labeled_embeddings.astype(float).T @ signals.labeled_embeddings + penalty * np.eye(8)

    def uncertainty_left(information):
        return weights @ np.einsum("ij,jk,ik->i", points, np.linalg.inv(information), points)

    picks = []
    while len(picks) < 15:
        left = {
            i: uncertainty_left(precision + np.outer(points[i], points[i]))
            for i in range(len(points))
            if i not in picks
        }
        picks.append(min(left, key=left.get))
        precision = precision + np.outer(points[picks[-1]], points[picks[-1]])
    rows = transductive_design(signals, 15, np.random.default_rng(0), penalty=penalty, exponent=exponent)
    np.testing.assert_array_equal(rows, signals.rows[picks])


def test_facility_location_goes_by_uncertainty_when_all_is_covered():
    signals = random_pool(0)
    everywhere = PoolSignals(**{**vars(signals), "embeddings": np.tile(signals.embeddings[0], (len(signals), 1))})
    rows = facility_location(everywhere, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(
        rows[1:], [r for r in by_score(signals, lambda i: -margins(signals)[i], 11) if r != rows[0]][:9]
    )


def test_random_gives_every_row_the_same_chance():
    signals = random_pool(0, unlabeled=20)
    counts = np.zeros(signals.rows.max() + 1)
    for seed in range(2000):
        counts[STRATEGIES["random"](signals, 5, np.random.default_rng(seed))] += 1
    # Binomial(2000, 1/4): five standard deviations are 97
    assert np.abs(counts[signals.rows] - 500).max() < 97
