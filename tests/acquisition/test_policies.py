import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_signals

from lit_react.acquisition.features import SAMPLE_FEATURES, FeatureMap, History
from lit_react.acquisition.policies import Fixed, Proposal, QProposals, QSamples
from lit_react.acquisition.policies.proposals import DEFAULT_STRATEGIES
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.core.errors import UserError


def generator(seed=0):
    return np.random.default_rng(seed)


def feature_map(signals):
    return FeatureMap(signals, History(), np.ones(len(signals.rows) + len(signals.labeled_rows)), 0.0, generator())


# ---- one rule


def test_fixed_proposes_its_rules_batch():
    signals, policy = make_signals(), Fixed("margin")
    (proposal,) = policy.proposals(signals, 5, generator(3))
    assert proposal.rows.tolist() == STRATEGIES["margin"](signals, 5, generator(3)).tolist()
    assert proposal.prior
    assert policy.takes(5) == 1
    assert not policy.learns


@pytest.mark.parametrize("name", ["badge", "bald", "random"])
def test_a_policy_needs_what_its_strategies_need(name):
    needs = {"badge": {"head_inputs"}, "bald": {"mutual_information"}, "random": set()}[name]
    assert Fixed(name).needs() == needs
    assert QProposals([name, "margin"], prior="margin").needs() == needs
    assert QProposals([f"margin+{name}"], prior=f"margin+{name}").needs() == needs
    assert QSamples(prior=name).needs() == needs


# ---- batches


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), n=st.integers(1, 40), k=st.integers(1, 12))
def test_each_proposal_is_a_full_batch_of_unlabeled_rows(seed, n, k):
    signals, k = make_signals(seed, unlabeled=n), min(k, n)
    proposals = QProposals().proposals(signals, k, generator(seed))
    assert [p.name for p in proposals] == list(DEFAULT_STRATEGIES)
    assert [p.name for p in proposals if p.prior] == ["facility_location"]
    for proposal in proposals:
        assert len(set(proposal.rows.tolist())) == len(proposal.rows) == k
        assert set(proposal.rows) <= set(signals.rows)


def test_mixtures_take_turns_between_their_parts():
    signals = make_signals()
    proposals = QProposals(["margin", "typiclust", "margin+typiclust"], prior="margin").proposals(
        signals, 6, generator()
    )
    margin, typiclust, mixture = (p.rows.tolist() for p in proposals)
    turns = [row for pair in zip(margin, typiclust, strict=True) for row in pair]
    assert mixture == list(dict.fromkeys(turns))[:6]
    assert mixture[:2] == list(dict.fromkeys([margin[0], typiclust[0], margin[1]]))[:2]


def test_proposals_are_reproducible():
    signals = make_signals()

    def rows(seed):
        return [p.rows.tolist() for p in QProposals().proposals(signals, 6, generator(seed))]

    assert rows(1) == rows(1)
    assert rows(1) != rows(2)


def test_options_describe_the_batches_and_mask_what_they_lack():
    signals = make_signals()
    features = feature_map(signals)
    proposals = [Proposal("a", signals.rows[:4], False), Proposal("b", signals.rows[5:7], True)]
    options = QProposals().options(proposals, features, 4)
    assert options.features.shape == (2, 4, len(SAMPLE_FEATURES))
    assert options.mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert options.prior.tolist() == [False, True]
    assert options.takes == 1
    assert np.array_equal(options.features[0].numpy(), features.batch(signals.rows[:4]))
    assert np.array_equal(options.features[1, :2].numpy(), features.batch(signals.rows[5:7]))
    assert torch.all(options.features[1, 2:] == 0)


# ---- samples


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9), n=st.integers(1, 40), k=st.integers(1, 12), candidates=st.integers(1, 60))
def test_sample_proposals_are_the_priors_picks_and_others(seed, n, k, candidates):
    signals, k = make_signals(seed, unlabeled=n), min(k, n)
    policy = QSamples(candidates, prior="margin")
    proposals = policy.proposals(signals, k, generator(seed))
    rows = [int(row) for p in proposals for row in p.rows]
    assert all(len(p.rows) == 1 for p in proposals)
    assert len(set(rows)) == len(rows) == min(n, max(candidates, k))
    assert set(rows) <= set(signals.rows.tolist())
    assert [p.prior for p in proposals] == [True] * k + [False] * (len(rows) - k)
    assert rows[:k] == STRATEGIES["margin"](signals, k, generator(seed)).tolist()


def test_sample_options_are_single_rows():
    signals = make_signals()
    features, policy = feature_map(signals), QSamples(12, prior="margin")
    proposals = policy.proposals(signals, 5, generator())
    options = policy.options(proposals, features, 5)
    assert options.takes == 5
    assert options.features.shape == (12, 1, len(SAMPLE_FEATURES))
    assert options.mask.all()
    assert options.prior.sum() == 5
    each = np.stack([features.batch(p.rows) for p in proposals])
    assert np.allclose(options.features.numpy(), each, atol=1e-5)


# ---- wrong names


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: Fixed("magic"), "acquisition.policy.strategy"),
        (lambda: QProposals(["margin", "magic"], prior="margin"), "acquisition.policy.strategies"),
        (lambda: QProposals(["margin+magic"], prior="margin+magic"), "acquisition.policy.strategies"),
        (lambda: QSamples(prior="magic"), "acquisition.policy.prior"),
    ],
)
def test_an_unknown_strategy_is_refused(make, option):
    with pytest.raises(UserError, match=f"{option}: unknown strategy 'magic', expected one of badge, bald"):
        make()


def test_a_prior_that_is_not_proposed_is_refused():
    with pytest.raises(
        UserError, match=r"acquisition.policy.prior: 'badge' is not among strategies \(margin, random\)"
    ):
        QProposals(["margin", "random"], prior="badge")
