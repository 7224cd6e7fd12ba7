import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lit_react.core.statistics import (
    bootstrap_interval,
    held_out_best,
    holm,
    labels_to_reach,
    share_of_rounds_won,
    tost,
    wilcoxon,
    win_share,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
DIFFERENCES = arrays(np.float64, st.integers(2, 20), elements=st.integers(-40, 40).map(lambda value: value / 8))


# ---- tests


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04, times 4, 3, 2, 1: 0.02, 0.03, 0.06, 0.04, which must not fall again: 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.6]).tolist() == pytest.approx([0.8, 0.8])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@given(P_VALUES, st.randoms())
def test_holm_keeps_the_order_and_lies_between_plain_and_bonferroni(p_values, random):
    p, adjusted = np.array(p_values), holm(p_values)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, len(p) * p) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    order = list(range(len(p)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(p[order]), adjusted[order])


def test_wilcoxon_by_hand():
    # of 2^6 sign patterns, two are as extreme as all alike
    assert wilcoxon(np.array([1.0, 2, 3, 4, 5, 6])) == pytest.approx(2 / 64)
    assert wilcoxon(np.array([0.0, 1, 2, 3, 4, 5, 6])) == pytest.approx(2 / 64), "a zero is dropped"
    assert wilcoxon(np.array([1.0, 1, 1, 1, 1, 1])) == pytest.approx(2 / 64), "ties"
    assert wilcoxon(np.array([-1.0, 1, 2, 2])) == pytest.approx(2 * 3 / 16), "ranks 1.5, 1.5, 3.5, 3.5: -, 1.5 or 1.5"
    assert wilcoxon(np.zeros(4)) == 1.0
    assert wilcoxon(np.array([0.1 + 0.2 - 0.3])) == 1.0, "rounding is no difference"


@pytest.mark.parametrize("pairs", [3, 8, 25, 40])
def test_wilcoxon_without_ties_is_that_of_scipy(pairs):
    differences = np.random.default_rng(pairs).normal(0.3, 1, pairs)
    assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue)


def test_family_wise_errors_of_wilcoxon_with_holm_are_rare():
    generator = np.random.default_rng(0)
    false = 0
    for _ in range(300):
        scores = generator.standard_normal((20, 4))
        pairs = [(i, j) for i in range(4) for j in range(i)]
        false += holm([wilcoxon(scores[:, i] - scores[:, j]) for i, j in pairs]).min() < 0.05
    assert false <= stats.binom.ppf(0.999, 300, 0.05)


def test_tost_by_hand():
    values = np.array([0.0, 0.1, 0.2, 0.1])  # mean 0.1, standard error sqrt(0.02 / 3) / 2
    error = np.sqrt(0.02 / 3) / 2
    assert tost(values, 0.3) == pytest.approx(stats.t.sf((0.3 - 0.1) / error, 3))
    assert tost(-values, 0.3) == pytest.approx(tost(values, 0.3))
    assert tost(values, 0.05) > 0.5
    assert tost(np.zeros(3), 0.3) == 0.0
    assert tost(np.ones(3), 0.3) == 1.0
    assert np.isnan(tost(np.zeros(1), 0.3))


@given(DIFFERENCES)
def test_wins_and_p_do_not_care_who_comes_first(differences):
    assert win_share(differences) + win_share(-differences) == pytest.approx(1)
    assert wilcoxon(differences) == pytest.approx(wilcoxon(-differences))


# ---- intervals


@given(DIFFERENCES, st.randoms())
def test_an_interval_holds_the_mean_of_values_in_any_order(differences, random):
    clusters = [place % 3 for place in range(len(differences))]
    order = list(range(len(differences)))
    random.shuffle(order)
    for groups in (None, clusters):
        low, high = bootstrap_interval(differences, np.random.default_rng(0), groups, draws=200)
        shuffled = None if groups is None else [groups[place] for place in order]
        again = bootstrap_interval(differences[order], np.random.default_rng(0), shuffled, draws=200)
        assert low <= high
        assert differences.min() - 1e-9 <= low
        assert high <= differences.max() + 1e-9
        assert again == pytest.approx((low, high))


def test_an_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    draws = [generator.normal(0, 1, 40) for _ in range(200)]
    covered = sum(low <= 0 <= high for low, high in (bootstrap_interval(x, generator, draws=500) for x in draws))
    assert 0.88 <= covered / 200 <= 0.99


def test_clusters_that_differ_make_the_interval_wide():
    values = np.repeat([-1.0, 0.0, 1.0, 2.0], 10) + np.random.default_rng(0).normal(0, 0.01, 40)
    plain = bootstrap_interval(values, np.random.default_rng(0))
    clustered = bootstrap_interval(values, np.random.default_rng(0), np.repeat(range(4), 10).tolist())
    assert np.diff(clustered) > 2 * np.diff(plain)


def test_one_value_or_one_cluster_has_no_interval():
    assert np.isnan(bootstrap_interval(np.ones(1), np.random.default_rng(0))).all()
    assert np.isnan(bootstrap_interval(np.ones(5), np.random.default_rng(0), clusters=["a"] * 5)).all()


# ---- standings


def test_a_rule_picked_on_other_seeds_is_not_flattered():
    assert held_out_best(np.array([[1.0, 0.0], [0.0, 1.0]])).tolist() == [0, 0]
    scores = np.random.default_rng(0).standard_normal((2000, 5, 6))
    held_out = np.mean([held_out_best(one).mean() for one in scores])
    assert abs(held_out) < 0.05
    assert np.mean([one.mean(axis=0).max() for one in scores]) > 0.4, "which the best in hindsight is"


def test_labels_are_read_off_between_the_rounds():
    labels, curve = np.array([20.0, 40, 80]), np.array([50.0, 60, 70])
    assert labels_to_reach(labels, curve, 55) == 30
    assert labels_to_reach(labels, curve, 70) == 80
    assert labels_to_reach(labels, curve, 45) == 20
    assert labels_to_reach(labels, curve, 70.1) == np.inf
    assert labels_to_reach(labels, np.array([50.0, 70, 60]), 60) == 30, "the first time counts"


def test_rounds_are_won_where_the_seeds_agree():
    second = np.zeros((3, 4))
    first = second + np.array([1.0, -1.0, 0.0, 0.0])
    first[:, 3] = [5, -4, 0]
    assert share_of_rounds_won(first, second) == 0.25
    assert share_of_rounds_won(second, first) == 0.25
    assert np.isnan(share_of_rounds_won(first[:1], second[:1]))
