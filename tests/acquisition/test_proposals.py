import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_signals

from lit_react.acquisition.features import SAMPLE_FEATURES, FeatureMap, History
from lit_react.acquisition.proposals import DEFAULT_STRATEGIES, Batches, Proposal, Samples
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.core.errors import UserError


def generator(seed=0):
    return np.random.default_rng(seed)


def feature_map(signals):
    return FeatureMap(signals, History(), np.ones(len(signals.rows) + len(signals.labeled_rows)), 0.0, generator())


# ---- one rule


def test_one_strategy_proposes_its_batch():
    signals, proposals = make_signals(), Batches(["margin"])
    (proposal,) = proposals.propose(signals, 5, generator(3))
    assert proposal.rows.tolist() == STRATEGIES["margin"](signals, 5, generator(3)).tolist()
    assert proposal.by_default
    assert not proposals.offers_a_choice


@pytest.mark.parametrize(
    ("name", "needed", "wanted"),
    [("badge", set(), {"head_inputs"}), ("bald", {"mutual_information"}, set()), ("random", set(), set())],
)
def test_proposals_read_what_their_strategies_read(name, needed, wanted):
    for proposals in (Batches([name]), Batches(["margin", name]), Batches([f"margin+{name}"]), Samples(4, name)):
        assert proposals.reads() == needed
        assert proposals.reads("reads_if_offered") == wanted


def test_rules_are_asked_by_name_or_as_they_are_listed():
    """One generator serves all of them, so the order decides what each draws."""
    signals, proposals = make_signals(), Batches(["random", "margin", "badge"])
    draws = generator(1)
    by_name = [STRATEGIES[name](signals, 5, draws).tolist() for name in ("badge", "margin", "random")]
    assert [p.rows.tolist() for p in proposals.propose(signals, 5, generator(1))] == by_name[::-1]
    draws = generator(1)
    listed = [STRATEGIES[name](signals, 5, draws).tolist() for name in ("badge", "random")]
    found = proposals.propose(signals, 5, generator(1), ["badge", "random"])
    assert [(p.name, p.rows.tolist()) for p in found] == [("random", listed[1]), ("badge", listed[0])]


# ---- batches


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(1, 40), k=st.integers(1, 12))
def test_each_proposal_is_a_full_batch_of_unlabeled_rows(seed, n, k):
    signals, k = make_signals(seed, unlabeled=n), min(k, n)
    proposals = Batches().propose(signals, k, generator(seed))
    assert [p.name for p in proposals] == list(DEFAULT_STRATEGIES)
    assert [p.name for p in proposals if p.by_default] == ["facility_location"]
    for proposal in proposals:
        assert len(set(proposal.rows.tolist())) == len(proposal.rows) == k
        assert set(proposal.rows) <= set(signals.rows)


def test_mixtures_take_turns_between_their_parts():
    signals = make_signals()
    proposals = Batches(["margin", "typiclust", "margin+typiclust"]).propose(signals, 6, generator())
    margin, typiclust, mixture = (p.rows.tolist() for p in proposals)
    turns = [row for pair in zip(margin, typiclust, strict=True) for row in pair]
    assert mixture == list(dict.fromkeys(turns))[:6]
    assert mixture[:2] == list(dict.fromkeys([margin[0], typiclust[0], margin[1]]))[:2]


def test_proposals_are_reproducible():
    signals = make_signals()

    def rows(seed):
        return [p.rows.tolist() for p in Batches().propose(signals, 6, generator(seed))]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_options_describe_the_batches_and_mask_what_they_lack():
    signals = make_signals()
    features = feature_map(signals)
    proposals = [Proposal("a", signals.rows[:4], False), Proposal("b", signals.rows[5:7], True)]
    options = Batches().options(proposals, features, 4)
    assert options.features.shape == (2, 4, len(SAMPLE_FEATURES))
    assert options.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert options.default.tolist() == [False, True]
    assert options.takes == 1
    assert np.array_equal(options.features[0].numpy(), features.batch(signals.rows[:4]))
    assert np.array_equal(options.features[1, :2].numpy(), features.batch(signals.rows[5:7]))
    assert torch.all(options.features[1, 2:] == 0)


# ---- samples


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9), n=st.integers(1, 40), k=st.integers(1, 12), candidates=st.integers(1, 60))
def test_sample_proposals_are_the_default_rules_picks_and_others(seed, n, k, candidates):
    signals, k = make_signals(seed, unlabeled=n), min(k, n)
    policy = Samples(candidates, "margin")
    proposals = policy.propose(signals, k, generator(seed))
    rows = [int(row) for p in proposals for row in p.rows]
    assert all(len(p.rows) == 1 for p in proposals)
    assert len(set(rows)) == len(rows) == min(n, max(candidates, k))
    assert set(rows) <= set(signals.rows.tolist())
    assert [p.by_default for p in proposals] == [True] * k + [False] * (len(rows) - k)
    assert rows[:k] == STRATEGIES["margin"](signals, k, generator(seed)).tolist()


def test_sample_options_are_single_rows():
    signals = make_signals()
    features, policy = feature_map(signals), Samples(12, "margin")
    proposals = policy.propose(signals, 5, generator())
    options = policy.options(proposals, features, 5)
    assert options.takes == 5
    assert options.features.shape == (12, 1, len(SAMPLE_FEATURES))
    assert options.mask.all()
    assert options.default.sum() == 5
    each = np.stack([features.batch(p.rows) for p in proposals])
    assert np.allclose(options.features.numpy(), each, atol=1e-5)


# ---- wrong names


@pytest.mark.parametrize(
    "make",
    [
        lambda: Batches(["magic"]),
        lambda: Batches(["margin", "magic"]),
        lambda: Batches(["margin+magic"]),
        lambda: Samples(default_rule="magic"),
    ],
)
def test_an_unknown_strategy_is_refused(make):
    expected = "acquisition.proposals.strategies: unknown strategy 'magic', expected one of badge, bait, bald"
    with pytest.raises(UserError, match=expected):
        make()


def test_a_default_rule_that_is_not_proposed_is_refused():
    expected = r"acquisition.proposals.default_rule: 'badge' is not among strategies \(margin, random\)"
    with pytest.raises(UserError, match=expected):
        Batches(["margin", "random"], default_rule="badge")


@pytest.mark.parametrize(("names", "told"), [(["margin", "margin"], "margin, margin"), ([], "none")])
def test_rules_without_names_of_their_own_are_refused(names, told):
    with pytest.raises(UserError, match=f"strategies: expected one or more of different names, got {told}"):
        Batches(names)
