from dataclasses import replace

import numpy as np
import pytest
import torch
from agents import make_purchase, make_situation
from hypothesis import given
from hypothesis import strategies as st
from run_folders import bought, rounds
from tiny import command, make_signals

from lit_react.acquisition.agents import ALBL, TAILOR, OneRule, Schedule
from lit_react.acquisition.agents.tailor import class_worth
from lit_react.acquisition.proposals import Batches, Samples
from lit_react.acquisition.strategies import STRATEGIES
from lit_react.cli import main
from lit_react.core.errors import UserError
from lit_react.run.state import RunState

ARMS = ["margin", "entropy", "random"]


def generator(seed=0):
    return np.random.default_rng(seed)


def begun(agent, arms=ARMS):
    """The agent at the start of a run over these rules."""
    agent.begin(Batches(arms), seed=0)
    return agent


def decide(agent, signals, k, rng, arms=ARMS):
    """What an agent that was begun buys."""
    return agent.decide(make_situation(signals, Batches(arms), k, rng, agent.asks(signals)))


def labels_came(agent, rows, names, signals):
    """The agent observes what was bought."""
    agent.observe(make_purchase(rows, names), 0.0, make_situation(signals, Batches(ARMS)))


def labeled_signals(labels, predicted, classes=2, rows=None):
    """Signals whose labeled rows have these labels and predictions, on 40 unlabeled rows."""
    rows = np.arange(100, 100 + len(labels)) if rows is None else np.asarray(rows)
    base = make_signals(classes=classes)
    return replace(
        base,
        labeled_rows=rows,
        labels=np.asarray(labels),
        labeled_probabilities=np.eye(classes, dtype=np.float32)[np.asarray(predicted)],
        labeled_embeddings=np.zeros((len(labels), base.embeddings.shape[1]), dtype=np.float32),
    )


def moved(signals, order):
    """The same labeled rows under other numbers: row `rows[i]` becomes `order[i]`, which may not ascend."""
    ascending = np.argsort(order)
    return replace(
        signals,
        labeled_rows=np.asarray(order)[ascending],
        labels=signals.labels[ascending],
        labeled_probabilities=signals.labeled_probabilities[ascending],
    )


# ---- a schedule


@pytest.mark.parametrize(("labels", "rule"), [(0, "typiclust"), (8, "typiclust"), (9, "margin"), (10, "margin")])
def test_the_schedule_changes_its_rule_once_there_are_three_labels_per_class(labels, rule):
    signals = make_signals(labeled=labels, classes=3)
    arms = ["margin", "typiclust"]
    decision = decide(begun(Schedule(then="margin"), arms), signals, 5, generator(), arms)
    assert decision.names == [rule] * 5
    assert decision.rows.tolist() == STRATEGIES[rule](signals, 5, generator()).tolist(), "no other rule was asked"


def test_one_rule_takes_the_default_rules_picks_and_asks_no_other():
    signals, arms = make_signals(), ["badge", "margin"]
    decision = decide(begun(OneRule(), arms), signals, 5, generator(), arms)
    assert decision.rows.tolist() == STRATEGIES["badge"](signals, 5, generator()).tolist()
    samples = Samples(20, "margin")
    agent = OneRule()
    agent.begin(samples, 0)
    decision = agent.decide(make_situation(signals, samples))
    assert (len(decision.rows), set(decision.names)) == (5, {"margin"})


# ---- ALBL


def test_exp4p_weights_of_two_rounds_are_those_of_a_hand_computation():
    """Three arms, p_min 0.1, ln(3/0.3) = 2.302585, √(2.302585 / (3·10)) = 0.277043."""
    policy = begun(ALBL(p_min=0.1, delta=0.3, horizon=10))
    assert policy.probabilities() == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    policy.credit(0, 0.8)
    # ŷ = (2.4, 0, 0), v̂ = 3 each: log w = 0.05 · (2.4 + 0.831129, 0.831129, 0.831129)
    assert policy.log_weights == pytest.approx([0.161556, 0.041556, 0.041556], abs=1e-6)
    # w ∝ (1.127497, 1, 1), so p = 0.7 · (0.360511, 0.319745, 0.319745) + 0.1
    p = policy.probabilities()
    assert p == pytest.approx([0.352358, 0.323821, 0.323821], abs=1e-6)
    policy.credit(2, 0.5)
    # v̂ = (2.838023, 3.088126, 3.088126), ŷ = (0, 0, 1.544063)
    steps = [0.05 * 0.277043 * 2.838023, 0.05 * 0.277043 * 3.088126, 0.05 * (0.277043 * 3.088126 + 1.544063)]
    assert policy.log_weights == pytest.approx(np.add([0.161556, 0.041556, 0.041556], steps), abs=1e-6)


@pytest.mark.parametrize("make", [ALBL, TAILOR])
def test_a_query_of_another_agent_is_nothing_to_learn_from(make):
    """A first fit that failed may go on with another agent, when the old one's query is in the ledger."""
    agent = begun(make())
    before = agent.state_dict()
    labels_came(agent, [3, 4], ["facility_location"] * 2, make_signals())
    assert str(agent.state_dict()) == str(before)


@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.floats(0, 1)), max_size=300), p_min=st.floats(0.001, 1 / 3 - 1e-6)
)
def test_each_arm_keeps_its_least_probability(steps, p_min):
    policy = begun(ALBL(p_min=p_min))
    for arm, reward in steps:
        policy.credit(arm, reward)
    assert policy.probabilities().min() >= p_min * (1 - 1e-9)
    assert policy.probabilities().sum() == pytest.approx(1)


def test_extreme_weights_stay_finite():
    policy = begun(ALBL(p_min=0.01))
    policy.log_weights = np.array([4000.0, 5000.0, -5000.0])
    assert policy.probabilities() == pytest.approx([0.01, 0.98, 0.01])


def test_a_row_counts_by_the_inverse_of_the_chance_it_had():
    agent, signals = begun(ALBL(p_min=0.1)), make_signals()  # 40 unlabeled rows
    decision = decide(agent, signals, 4, generator())
    margin, entropy, _ = agent.advice
    only_margin = np.setdiff1d(margin, entropy)[0]
    neither = np.setdiff1d(signals.rows, np.concatenate([margin, entropy]))[0]
    by_margin, by_both = 1 / 3 + 1 / 3 * 4 / 40, 2 / 3 + 1 / 3 * 4 / 40
    assert agent.chances_of(np.array([only_margin]), 0) == pytest.approx([by_margin])
    assert agent.chances_of(np.array([neither]), 2) == pytest.approx([1 / 3 * 4 / 40])
    again = agent.chances_of(np.array([only_margin]), 1)  # a round run again, in which the proposals were others
    assert again == pytest.approx([by_both])
    assert len(decision.rows) == 4


def test_albl_counts_only_rows_that_an_arm_would_have_paid_for():
    agent, signals = begun(ALBL(), ["margin", "random"]), make_signals(labeled=0)
    situation = make_situation(signals, Batches(["margin", "random"]), 6, asked=agent.asks(signals))
    margin = situation.proposals[0].rows
    situation.proposals = [replace(proposal, rows=proposal.rows[:2]) for proposal in situation.proposals]
    agent.decide(situation)
    by_random = 0.5 * 2 / 40
    assert agent.chances_of(margin[[0, 5]], 1).tolist() == pytest.approx([0.5 + by_random, by_random])


def test_the_reward_is_the_weighted_accuracy_of_all_that_was_queried():
    policy = begun(ALBL())
    policy.rows, policy.chances = np.array([102, 100, 103]), np.array([0.5, 0.1, 0.25])
    signals = labeled_signals(labels=[0, 1, 1, 0], predicted=[0, 0, 1, 1])  # rows 100, 101, 102, 103
    assert policy.weighted_accuracy(signals) == pytest.approx((2 + 10) / (2 + 10 + 4))


def test_only_the_arm_that_bought_is_paid():
    agent, signals = begun(ALBL()), make_signals()
    decide(agent, signals, 2, generator())
    labels_came(agent, [101, 100], ["entropy", "entropy"], labeled_signals([0, 1], [0, 1]))
    assert agent.log_weights[1] > agent.log_weights[0] == agent.log_weights[2]


def test_albl_draws_its_arms_with_their_probabilities():
    agent, signals = begun(ALBL(p_min=0.1)), make_signals()
    agent.log_weights = np.log([6.0, 1.0, 1.0])
    names = [decide(agent, signals, 3, generator(seed)).names[0] for seed in range(600)]
    shares = [names.count(name) / len(names) for name in ARMS]
    assert shares == pytest.approx(agent.probabilities(), abs=0.06)


def test_albl_comes_to_prefer_the_arm_whose_labels_make_the_model_right():
    agent, rng = begun(ALBL(horizon=300)), generator(1)
    everything = np.arange(48)
    for _ in range(300):
        decision = decide(agent, make_signals(), 3, rng)
        right = rng.random(48) < {"margin": 0.3, "entropy": 0.9, "random": 0.3}[decision.names[0]]
        seen = labeled_signals(np.zeros(48, dtype=int), np.where(right, 0, 1), rows=everything)
        labels_came(agent, decision.rows, decision.names, seen)
    assert agent.probabilities()[1] > 0.7


# ---- TAILOR


def test_a_label_is_worth_the_less_the_more_there_are_and_a_majority_costs():
    assert class_worth(np.array([0, 0, 1, 2, 2]), 4) == pytest.approx([1 / 2, 1, 1 / 2, 1])
    assert class_worth(np.array([0, 0, 0, 1, 2]), 3) == pytest.approx([-1 / 3, 1, 1])
    assert class_worth(np.array([0, 1]), 2) == pytest.approx([1, 1]), "half is no majority"
    assert class_worth(np.empty(0, dtype=np.int64), 2) == pytest.approx([1, 1])


def test_the_posterior_of_two_rounds_is_that_of_a_hand_computation():
    agent = begun(TAILOR(gamma=0.9))
    signals = labeled_signals([0, 1, 1, 0, 1], [0] * 5)  # rows 100 … 104
    assert agent.found is None, "nothing was bought yet"
    labels_came(agent, [104, 100, 101], ["entropy", "margin", "entropy"], signals)
    assert agent.found == pytest.approx(np.array([[1.9, 0.9], [0.9, 2.9], [0.9, 0.9]]))
    labels_came(agent, [103, 102], ["random", "margin"], signals)
    assert agent.found == pytest.approx(np.array([[1.71, 1.81], [0.81, 2.61], [1.81, 0.81]]))


def test_samples_are_drawn_as_often_as_an_arm_looks_best():
    """Two classes: θ·v = v_0 θ_0 + v_1 (1 − θ_0), with θ_0 of Dir(a + 1) a Beta variable."""
    agent = begun(TAILOR(), ["margin", "random"])
    agent.found = np.array([[1.0, 5.0], [3.0, 2.0]])
    signals = labeled_signals([0, 0, 0, 1], [0] * 4)  # worth: −1/3 and 1, so the smaller θ_0 wins
    drawn = agent.draw(signals, 20_000, generator(0))
    rng = generator(1)
    expected = np.mean(rng.beta(2, 6, 200_000) < rng.beta(4, 3, 200_000))
    assert np.mean(drawn == 0) == pytest.approx(expected, abs=0.01)


@given(seed=st.integers(0, 50), n=st.integers(1, 30), k=st.integers(1, 12))
def test_tailor_takes_each_arms_next_row_for_each_sample(seed, n, k):
    signals, k = make_signals(seed, unlabeled=n), min(k, n)
    agent = begun(TAILOR())
    situation = make_situation(signals, Batches(ARMS), k, generator(seed), agent.asks(signals))
    decision = agent.decide(situation)
    rows = decision.rows.tolist()
    assert len(set(rows)) == len(decision.names) == k
    assert set(rows) <= set(signals.rows.tolist())
    batches = {proposal.name: proposal.rows.tolist() for proposal in situation.proposals}
    for i, name in enumerate(decision.names):
        assert rows[i] == next(row for row in batches[name] if row not in rows[:i])


def test_tailor_comes_to_prefer_the_arm_that_finds_rare_classes():
    agent, rng = begun(TAILOR()), generator(1)
    rare = {"margin": 0.05, "entropy": 0.4, "random": 0.05}
    labels, drawn = [0, 0, 0, 0], []
    for _ in range(40):
        names = decide(agent, labeled_signals(labels, [0] * len(labels)), 10, rng).names
        rows = np.arange(100 + len(labels), 110 + len(labels))
        labels += [int(rng.random() < rare[name]) for name in names]
        labels_came(agent, rows, names, labeled_signals(labels, [0] * len(labels)))
        drawn += names
    assert drawn[200:].count("entropy") > 0.7 * 200


# ---- both


def plain(state):
    if isinstance(state, list):
        return [plain(part) for part in state]
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items()}
    return state.tolist() if torch.is_tensor(state) else state


@given(order=st.permutations(range(100, 106)), predicted=st.lists(st.integers(0, 1), min_size=6, max_size=6))
def test_rows_under_other_numbers_teach_the_same(order, predicted):
    signals = labeled_signals([0, 1, 1, 0, 1, 1], predicted)
    names = ["margin", "margin", "entropy", "random"]
    one, other = begun(TAILOR()), begun(TAILOR())
    labels_came(one, [105, 100, 101, 103], names, signals)
    labels_came(other, [order[5], order[0], order[1], order[3]], names, moved(signals, order))
    assert np.array_equal(one.found, other.found)
    accuracies = []
    for rows, seen in [(np.array([104, 102]), signals), (np.array([order[4], order[2]]), moved(signals, order))]:
        agent = begun(ALBL())
        agent.rows, agent.chances = rows, np.array([0.2, 0.7])
        accuracies.append(agent.weighted_accuracy(seen))
    assert accuracies[0] == accuracies[1]


@pytest.mark.parametrize("kind", [ALBL, TAILOR])
def test_a_saved_memory_goes_on_as_the_first_one_and_is_not_touched_by_it(kind):
    signals, agent = make_signals(), begun(kind())
    decision = decide(agent, signals, 4, generator())
    before, kept = agent.state_dict(), plain(agent.state_dict())
    copy = begun(kind())
    copy.load_state_dict(before)
    for each in (agent, copy):
        labels_came(each, signals.labeled_rows[:4], decision.names, signals)
        decide(each, signals, 4, generator(1))
    assert plain(agent.state_dict()) == plain(copy.state_dict()) != kept
    untouched = begun(kind())
    untouched.load_state_dict(before)
    assert plain(untouched.state_dict()) == kept


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: begun(ALBL(p_min=0.4)), r"acquisition.agent.p_min: 0.4, expected at most 1/3 arms"),
        (lambda: ALBL(p_min=0), r"acquisition.agent.p_min: 0 is too small, expected more than 0"),
        (lambda: ALBL(horizon=0), "acquisition.agent.horizon: 0 is too small, expected 1 or more"),
        (lambda: TAILOR(gamma=1.1), "acquisition.agent.gamma: 1.1 is too large, expected 0 or more, at most 1"),
        (lambda: TAILOR().begin(Samples(), 0), "acquisition.agent: TAILOR chooses among rules, expected acq.*Batches"),
        (lambda: begun(Schedule(first="badge", then="margin")), "acquisition.agent.first: 'badge' is not among"),
        (lambda: begun(Schedule(first="margin", then="badge")), "acquisition.agent.then: 'badge' is not among"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()


# ---- in a run


def memory(folder):
    return plain(RunState.load(folder).acquisition["agent"])


@pytest.mark.parametrize("agent", ["ALBL", "TAILOR"])
def test_a_run_killed_after_asking_equals_an_unbroken_one(agent, tmp_path, news_csv, tiny_bert, monkeypatch):
    """Killed when round 1 has written its query into the ledger but not its state: round 1 is run again."""
    chosen = ["--acquisition.agent", agent, "--acquisition.proposals.strategies", "[margin, typiclust, random]"]
    main(command(news_csv, tiny_bert, tmp_path / "whole", *chosen))
    save = RunState.save

    def die_in_round_1(state, folder):
        if len(state.rounds) == 2:
            raise KeyboardInterrupt
        save(state, folder)

    with monkeypatch.context() as crash:
        crash.setattr(RunState, "save", die_in_round_1)
        with pytest.raises(KeyboardInterrupt):
            main(command(news_csv, tiny_bert, tmp_path / "run", *chosen))
    assert len(bought(tmp_path / "run")) == 28 + 6 + 6, "the second query was asked for, its labels were not used"
    main(command(news_csv, tiny_bert, tmp_path / "run", *chosen))
    assert bought(tmp_path / "run") == bought(tmp_path / "whole")
    assert [e["metrics"] for e in rounds(tmp_path / "run")] == [e["metrics"] for e in rounds(tmp_path / "whole")]
    assert memory(tmp_path / "run") == memory(tmp_path / "whole")


def test_a_standing_query_is_credited_to_the_arm_that_the_ledger_names(tmp_path, news_csv, tiny_bert, monkeypatch):
    """The round run again draws another arm, as after a fit that does not repeat to the last bit."""
    options = ["--acquisition.agent", "ALBL", "--acquisition.proposals.strategies", "[margin, typiclust, random]"]
    options = command(news_csv, tiny_bert, tmp_path / "run", *options, "--rounds.stopping.max_rounds", "3")
    with monkeypatch.context() as crash:
        crash.setattr(ALBL, "probabilities", lambda agent: np.array([1.0, 0.0, 0.0]))
        crash.setattr(RunState, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            main(options)
    asked = [entry for entry in bought(tmp_path / "run") if entry[3] == 1]
    assert {entry[4] for entry in asked} == {"margin"}
    with monkeypatch.context() as other_draw:
        other_draw.setattr(ALBL, "probabilities", lambda agent: np.array([0.001, 0.4995, 0.4995]))
        main(options)
    credited = memory(tmp_path / "run")
    assert credited["rows"][:6] == [entry[1] for entry in asked]
    assert credited["log_weights"][0] > credited["log_weights"][1] == credited["log_weights"][2], "the first arm's"


def test_a_scheduled_run_changes_its_rule_on_the_way(tmp_path, news_csv, tiny_bert):
    both = ["--acquisition.proposals.strategies", "[typiclust, cluster_margin]"]
    main(command(news_csv, tiny_bert, tmp_path / "run", "--acquisition.agent", "Schedule", *both))
    rules = {entry[3]: entry[4] for entry in bought(tmp_path / "run") if entry[3] > 0}
    assert rules == {1: "typiclust", 2: "cluster_margin", 3: "cluster_margin"}, "8, 14 and 20 labels of 4 classes"
