"""What holds for every strategy: on ordinary pools, on odd ones, and on pools beyond the size of exact picks."""

import importlib
import inspect
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_react.acquisition.proposals import Batches
from lit_react.acquisition.signals import PoolSignals
from lit_react.acquisition.strategies import STRATEGIES, signals_read
from lit_react.acquisition.strategies.facility_location import _priority_sample, facility_location
from lit_react.acquisition.strategies.herding import uncertainty_herding
from lit_react.acquisition.strategies.naming import find_strategy
from lit_react.acquisition.strategies.probability_coverage import prob_cover
from lit_react.acquisition.strategies.refinement import refine
from lit_react.core.errors import UserError

SCORES = {name: min(read) for name, strategy in STRATEGIES.items() if (read := signals_read(strategy))}
RANKING = {"least_confidence", "margin", "entropy", "cal", "density_weighted_margin", *SCORES}
GREEDY = {  # with a labeled row to start from
    *("k_center", "facility_location", "coverage", "transductive_design"),
    *("uncertainty_herding", "max_herding", "bait"),
}
EXACT_AT_ANY_SIZE = {*RANKING - {"density_weighted_margin"}, "random", "cluster_margin", "transductive_design"}
RULES = {**STRATEGIES, "refine": partial(refine, batches=8, depth=2)}  # hundreds of selections else
every_strategy = pytest.mark.parametrize("name", STRATEGIES)


def make_pool(seed=0, unlabeled=60, labeled=8, classes=3, dimension=6, dtype=np.float32):
    """Signals of random unit embeddings; the labeled rows lie anywhere among the others."""
    rng = np.random.default_rng(seed)
    n = unlabeled + labeled
    points = rng.normal(size=(n, dimension))
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(dtype)
    probabilities = rng.dirichlet(np.ones(classes), size=n).astype(np.float32)
    order = rng.permutation(n)
    labeled_rows, rows = np.sort(order[:labeled]), np.sort(order[labeled:])
    return PoolSignals(
        rows=rows,
        probabilities=probabilities[rows],
        embeddings=points[rows],
        labeled_rows=labeled_rows,
        labels=rng.integers(classes, size=labeled),
        labeled_probabilities=probabilities[labeled_rows],
        labeled_embeddings=points[labeled_rows],
        head_inputs=rng.normal(size=(unlabeled, 4)).astype(np.float32),
        scores={name: rng.random(unlabeled).astype(np.float32) for name in SCORES.values()},
    )


def changed(signals, **fields):
    return PoolSignals(**{name: getattr(signals, name) for name in signals.__dataclass_fields__} | fields)


def propose(name, signals, k, seed=0):
    """Rows of a strategy, checked against what every one promises."""
    rows = RULES[name](signals, k, np.random.default_rng(seed))
    assert rows.dtype == np.int64
    assert rows.shape == (min(k, len(signals)),)
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(signals.rows)
    return rows


@every_strategy
@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 1000),
    unlabeled=st.integers(0, 40),
    labeled=st.integers(0, 50),
    classes=st.integers(1, 60),
    k=st.integers(0, 50),
    dtype=st.sampled_from([np.float16, np.float32]),
    oddity=st.sampled_from(["none", "all equal", "pairs", "zeros", "flat", "certain", "one label"]),
)
def test_any_pool_gives_unique_unlabeled_rows_and_the_seed_reproduces_them(
    name, seed, unlabeled, labeled, classes, k, dtype, oddity
):
    signals = make_pool(seed, unlabeled, labeled, classes, dtype=dtype)
    if oddity == "all equal":
        signals.embeddings[:] = signals.labeled_embeddings[:] = signals.embeddings[:1].sum(axis=0)
    if oddity == "pairs":
        signals.embeddings[1::2] = signals.embeddings[: unlabeled // 2 * 2 : 2]
    if oddity == "zeros":
        signals.embeddings[:] = signals.labeled_embeddings[:] = signals.head_inputs[:] = 0
    if oddity == "flat":
        signals.probabilities[:] = signals.labeled_probabilities[:] = 1 / classes
    if oddity == "certain":
        signals.probabilities[:] = signals.labeled_probabilities[:] = np.eye(classes)[0]
    if oddity == "one label":
        signals.labels[:] = 0
    np.testing.assert_array_equal(propose(name, signals, k, seed), propose(name, signals, k, seed))


@every_strategy
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_run_may_begin_without_any_label(name, classes, dtype):
    signals = make_pool(labeled=0, classes=classes, dtype=dtype)
    assert (signals.labels.shape, signals.labeled_embeddings.shape) == ((0,), (0, 6))
    for k in (1, 10, 100):
        np.testing.assert_array_equal(propose(name, signals, k), propose(name, signals, k))
    if "max_candidates" in inspect.signature(STRATEGIES[name]).parameters:
        assert len(set(partial(RULES[name], max_candidates=20)(signals, 30, np.random.default_rng(0)))) == 30


@every_strategy
def test_inputs_stay_as_they_were(name):
    signals = make_pool()
    fields = [getattr(signals, field) for field in signals.__dataclass_fields__ if field != "scores"]
    for array in [*(field for field in fields if field is not None), *signals.scores.values()]:
        array.flags.writeable = False
    propose(name, signals, 10)


@every_strategy
@pytest.mark.parametrize("seed", range(3))
def test_names_of_the_classes_do_not_matter(name, seed):
    signals = make_pool(seed, classes=5)
    order = np.random.default_rng(seed).permutation(5)
    renamed = changed(
        signals,
        probabilities=signals.probabilities[:, order],
        labeled_probabilities=signals.labeled_probabilities[:, order],
        labels=np.argsort(order)[signals.labels],
    )
    np.testing.assert_array_equal(propose(name, renamed, 15, seed), propose(name, signals, 15, seed))


@pytest.mark.parametrize("name", sorted(RANKING | GREEDY))
@pytest.mark.parametrize("seed", range(3))
def test_order_of_the_pool_does_not_matter_to_rules_that_draw_nothing(name, seed):
    signals = make_pool(seed)
    order = np.random.default_rng(seed).permutation(len(signals))
    per_row = ("rows", "probabilities", "embeddings", "head_inputs")
    scores = {score: values[order] for score, values in signals.scores.items()}
    shuffled = changed(signals, scores=scores, **{field: getattr(signals, field)[order] for field in per_row})
    k = 5 if name in ("coverage", "max_herding") else 15  # later picks tie: two rows may gain by each other alone
    np.testing.assert_array_equal(propose(name, shuffled, k), propose(name, signals, k))


@pytest.mark.parametrize("name", ["least_confidence", "margin", "entropy", *SCORES])
def test_ties_are_broken_by_the_generator(name):
    signals = make_pool()
    signals.probabilities[:] = 1 / 3
    for values in signals.scores.values():
        values[:] = 1
    firsts = {propose(name, signals, 1, seed)[0] for seed in range(30)}
    assert len(firsts) > 10


@every_strategy
def test_float16_memory_map_gives_the_picks_of_its_float32_copy(name, tmp_path):
    signals = make_pool(dtype=np.float16)
    mapped = np.memmap(tmp_path / "embeddings", dtype=np.float16, mode="w+", shape=signals.embeddings.shape)
    mapped[:] = signals.embeddings
    copy = signals.embeddings.astype(np.float32)
    picks = propose(name, changed(signals, embeddings=mapped), 10)
    np.testing.assert_array_equal(picks, propose(name, changed(signals, embeddings=copy), 10))


@every_strategy
def test_strategies_read_no_optional_signal_that_they_do_not_name(name):
    signals = make_pool()
    without = changed(
        signals,
        head_inputs=signals.head_inputs if signals_read(STRATEGIES[name], "reads_if_offered") else None,
        scores={score: values for score, values in signals.scores.items() if score in signals_read(STRATEGIES[name])},
    )
    np.testing.assert_array_equal(propose(name, without, 10), propose(name, signals, 10))


@pytest.mark.parametrize("name", SCORES)
def test_strategies_by_score_say_which_one_is_missing(name):
    signals = make_pool()
    others = {score: values for score, values in signals.scores.items() if score != SCORES[name]}
    with pytest.raises(ValueError, match=f"needs the score {SCORES[name]}, the task gives") as caught:
        propose(name, changed(signals, scores=others), 3)
    assert str(sorted(others)) in str(caught.value)


@pytest.mark.parametrize("name", ["badge", "dropquery"])
def test_rules_of_the_last_layer_make_do_with_embeddings(name):
    signals = make_pool()
    same = changed(signals, head_inputs=signals.embeddings)
    without = changed(signals, head_inputs=None)
    np.testing.assert_array_equal(propose(name, without, 10), propose(name, same, 10))


@pytest.mark.parametrize(
    "name", ["k_center", "facility_location", "coverage", "prob_cover", "uncertainty_herding", "max_herding"]
)
def test_duplicates_of_labeled_rows_come_last(name):
    signals = make_pool(unlabeled=20, labeled=10, dimension=40)
    signals.embeddings[:10] = signals.labeled_embeddings
    strategy = partial(prob_cover, radius=0.3) if name == "prob_cover" else STRATEGIES[name]
    assert set(strategy(signals, 10, np.random.default_rng(0))) == set(signals.rows[10:])


@pytest.mark.parametrize(
    "options", [{"radius": 0.0}, {"radius": -1.0}, {"temperature": 0.0}, {"temperature": float("nan")}]
)
def test_herding_needs_positive_numbers(options):
    (name, value) = next(iter(options.items()))
    with pytest.raises(ValueError, match=f"{name}: expected a positive number, got {value}"):
        uncertainty_herding(make_pool(), 5, np.random.default_rng(0), **options)


@pytest.mark.parametrize("labeled", [0, 1, 2])
def test_herding_has_a_radius_where_labels_tell_none(labeled):
    """No two labeled rows, or but one text: as if the radius were 1."""
    signals = make_pool(labeled=labeled)
    signals.labeled_embeddings[1:] = signals.labeled_embeddings[:1]
    expected = uncertainty_herding(signals, 10, np.random.default_rng(0), radius=1.0)
    np.testing.assert_array_equal(uncertainty_herding(signals, 10, np.random.default_rng(0)), expected)


def test_a_margin_of_the_task_has_no_temperature():
    signals = make_pool()
    signals = changed(signals, scores={"margin": np.random.default_rng(3).random(len(signals)).astype(np.float32)})
    rows = [uncertainty_herding(signals, 10, np.random.default_rng(0), temperature=t) for t in (1.0, 3.0)]
    np.testing.assert_array_equal(*rows)


def test_bait_takes_the_binary_form_where_classes_are_many():
    few, many = make_pool(classes=3, dimension=20), make_pool(classes=21, dimension=20)
    for signals, same in ((few, False), (many, True)):  # 21² · 20 is more than `max_factors`
        binary = partial(STRATEGIES["bait"], max_factors=0)(signals, 10, np.random.default_rng(0))
        assert np.array_equal(propose("bait", signals, 10), binary) == same


@pytest.mark.parametrize("seed", range(10))
def test_prob_cover_with_balls_of_nothing_but_their_centres_picks_no_row_twice(seed):
    rows = prob_cover(make_pool(seed, 200, labeled=0, dimension=50), 30, np.random.default_rng(0), radius=0.0)
    assert len(set(rows)) == 30


def wider(signals, seed=0):
    """Similarities of a whole pool, cut to the unlabeled rows, as simulated annotation hands them on."""
    rng = np.random.default_rng(seed)
    others = rng.normal(size=(17, signals.embeddings.shape[1])).astype(np.float32)
    whole = np.concatenate([others, signals.embeddings, others])
    rows = np.arange(17, 17 + len(signals))
    return (whole @ whole.T)[np.ix_(rows, rows)]


@pytest.mark.parametrize("power", [1.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_facility_location_picks_the_same_rows_from_similarities_that_are_there_already(monkeypatch, seed, power):
    rule = partial(facility_location, power=power)
    given, made, alone = (make_pool(seed, unlabeled=120) for _ in range(3))
    vars(given)["similarities"] = wider(given)
    before = given.similarities.copy()
    expected = rule(made, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(rule(given, 20, np.random.default_rng(0)), expected)
    np.testing.assert_array_equal(given.similarities, before)
    module = importlib.import_module("lit_react.acquisition.strategies.facility_location")
    monkeypatch.setattr(module, "KEPT_ELEMENTS", 0)
    np.testing.assert_array_equal(rule(alone, 20, np.random.default_rng(0)), expected)
    assert "similarities" not in vars(alone), "nothing was kept in memory"


def test_facility_location_reads_the_similarities_that_are_given():
    """They are not made again: nonsense in them is believed."""
    signals = make_pool(unlabeled=120)
    expected = facility_location(signals, 20, np.random.default_rng(0))
    vars(signals)["similarities"] = signals.similarities[::-1].copy()
    assert not np.array_equal(facility_location(signals, 20, np.random.default_rng(0)), expected)


def test_a_thinned_pool_is_judged_by_its_own_similarities():
    """`max_candidates` below the pool: the similarities of all rows are of no use, and are not asked for."""
    signals, other = make_pool(unlabeled=120), make_pool(unlabeled=120)
    vars(other)["similarities"] = np.full((120, 120), np.nan, dtype=np.float32)
    rows = [facility_location(s, 20, np.random.default_rng(0), max_candidates=60) for s in (signals, other)]
    np.testing.assert_array_equal(*rows)


# ---- settings of a rule


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("margin", STRATEGIES["margin"]),
        ("facility_location(exponent=1)", partial(facility_location, exponent=1)),
        (" facility_location( exponent = 0.5 , power=2) ", partial(facility_location, exponent=0.5, power=2)),
        ("transductive_design(penalty=1e-1)", partial(STRATEGIES["transductive_design"], penalty=0.1)),
        ("facility_location()", facility_location),
    ],
)
def test_a_setting_is_the_rule_with_these_arguments(text, rule):
    signals = make_pool(unlabeled=120)
    rows = find_strategy(text)(signals, 20, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, rule(signals, 20, np.random.default_rng(0)))


def test_settings_differ_from_the_rule_they_are_of():
    signals = make_pool(unlabeled=120)
    texts = ("facility_location", "facility_location(exponent=1)", "facility_location(power=3)")
    picks = {tuple(find_strategy(text)(signals, 20, np.random.default_rng(0))) for text in texts}
    assert len(picks) == 3


def test_a_setting_needs_what_its_rule_needs():
    for name in ("badge", "badge(max_candidates=50)", " badge "):
        proposals = Batches(["margin", name])
        assert (proposals.reads(), proposals.reads("reads_if_offered")) == (set(), {"head_inputs"})


UNKNOWN, OPTIONS = "expected one of badge, bait, bald", "expected options of {} with numbers"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("magic", UNKNOWN),
        ("magic(power=1)", UNKNOWN),
        ("", UNKNOWN),
        ("facility_location(power=1", UNKNOWN),
        ("facility_location)power=1(", UNKNOWN),
        ("facility_location(charm=1)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power=)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power=big)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power='1')", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power=[1])", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(1)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(power=1,)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("facility_location(k=1)", OPTIONS.format("power, exponent, thrift, max_candidates")),
        ("margin(power=1)", OPTIONS.format("none")),
    ],
)
def test_a_setting_that_is_none_is_told_in_one_line(text, expected):
    for make in (lambda: Batches([text]), lambda: Batches(["margin", text])):
        with pytest.raises(UserError) as told:
            make()
        assert str(told.value).startswith("acquisition.proposals.strategies: ")
        assert repr(text) in str(told.value)
        assert expected in str(told.value)
        assert "\n" not in str(told.value)


# Beyond the size of exact picks. A pool of clusters has many equally good batches: objectives tell more than recall.


def clustered_pool(unlabeled=3000, dimension=16):
    signals = make_pool(1, unlabeled, 20, 4, dimension)
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(30, dimension))
    points = centres[rng.integers(30, size=unlabeled)] + 0.7 * rng.normal(size=(unlabeled, dimension))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return changed(signals, embeddings=points.astype(np.float32), head_inputs=None)


def location_objective(signals, picks, exponent=3.0):
    """Weighted similarity of the unlabeled rows to the nearest labeled or picked one."""
    ranks = np.argsort(np.argsort(-signals.margin)) + 1
    chosen = np.concatenate([signals.labeled_embeddings, signals.embeddings[np.searchsorted(signals.rows, picks)]])
    nearest = np.maximum(signals.embeddings @ chosen.T, 0).max(axis=1)
    return float((ranks / len(ranks)) ** exponent @ nearest)


@pytest.mark.parametrize("kept_elements", [0, 2**25])
def test_thinned_facility_location_loses_little_of_the_objective(monkeypatch, kept_elements):
    module = importlib.import_module("lit_react.acquisition.strategies.facility_location")
    monkeypatch.setattr(module, "KEPT_ELEMENTS", kept_elements)
    signals = clustered_pool()
    exact = facility_location(signals, 30, np.random.default_rng(0))
    thinned = facility_location(signals, 30, np.random.default_rng(0), max_candidates=600)
    chance = STRATEGIES["random"](signals, 30, np.random.default_rng(0))
    assert not np.array_equal(thinned, exact)
    nothing, best = location_objective(signals, []), location_objective(signals, exact)
    assert (location_objective(signals, thinned) - nothing) / (best - nothing) > 0.92
    assert (location_objective(signals, chance) - nothing) / (best - nothing) < 0.9


def test_thinned_coverage_loses_little_of_the_covered_share():
    signals = clustered_pool()

    def covered(picks):
        chosen = signals.embeddings[np.searchsorted(signals.rows, picks)]
        return np.mean(np.linalg.norm(signals.embeddings[:, None] - chosen, axis=2).min(axis=1) <= 0.8)

    rng = np.random.default_rng
    exact = covered(prob_cover(signals, 30, rng(0), radius=0.8))
    assert covered(prob_cover(signals, 30, rng(0), radius=0.8, max_candidates=600)) > 0.9 * exact
    assert covered(STRATEGIES["random"](signals, 30, rng(0))) < 0.9 * exact


def test_density_weighted_margin_recalls_the_exact_picks_from_few_candidates():
    signals = clustered_pool()
    strategy = STRATEGIES["density_weighted_margin"]
    exact = set(strategy(signals, 30, np.random.default_rng(0)))
    few_candidates = strategy(signals, 30, np.random.default_rng(0), max_candidates=300)
    few_anchors = strategy(signals, 30, np.random.default_rng(0), max_anchors=1000)
    assert len(exact & set(few_candidates)) >= 27
    assert len(exact & set(few_anchors)) >= 15


def test_rules_without_a_limit_are_exact_at_any_size():
    limited = {name for name, rule in STRATEGIES.items() if "max_candidates" in inspect.signature(rule).parameters}
    assert limited == STRATEGIES.keys() - EXACT_AT_ANY_SIZE


@pytest.mark.parametrize("name", sorted(STRATEGIES.keys() - EXACT_AT_ANY_SIZE))
def test_pools_beyond_the_limit_are_thinned_but_fill_the_batch(name):
    signals = clustered_pool(unlabeled=400)
    thinned = partial(RULES[name], max_candidates=50)
    for k in (20, 90):
        rows = thinned(signals, k, np.random.default_rng(0))
        assert len(set(rows)) == k
        assert set(rows) <= set(signals.rows)
        np.testing.assert_array_equal(rows, thinned(signals, k, np.random.default_rng(0)))
    drawn = [set(thinned(signals, 20, np.random.default_rng(seed))) for seed in range(4)]
    assert name == "density_weighted_margin" or len(set.union(*drawn)) > 20


def test_priority_sample_estimates_sums_without_bias():
    sizes = np.random.default_rng(0).pareto(1.0, size=300).astype(np.float32)
    first_half = np.array(
        [
            worth[positions < 150].sum()
            for positions, worth in (_priority_sample(sizes, 40, np.random.default_rng(seed)) for seed in range(2000))
        ]
    )
    standard_error = first_half.std() / np.sqrt(len(first_half))
    assert abs(first_half.mean() - sizes[:150].sum()) < 4 * standard_error
