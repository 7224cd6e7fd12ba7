"""An agent whose network comes trained, and the guard that watches it."""

import numpy as np
import pytest
import torch
from agents import KIND, STATE, make_agent, make_options, observe_random
from tiny import linear_policy, make_signals, random_policy

from lit_react.acquisition.agents.double_dqn import POINTS, DoubleDQN
from lit_react.acquisition.features import FeatureMap, History
from lit_react.acquisition.proposals import Batches

# ---- a pretrained network


def parameters(network):
    return [p.detach().clone() for p in [*network.parameters(), *network.buffers()]]


def test_a_pretrained_network_comes_with_its_own_size_and_values(saved):
    policy = random_policy(members=5, hidden=7)
    agent = DoubleDQN(saved(policy), members=2, hidden=64)
    assert agent.members == 5
    assert agent.q_network.weights[1].shape == (5, 7, 7)
    for network in (agent.q_network, agent.target_network):
        assert all(map(torch.equal, parameters(network), parameters(policy.q_network)))
    assert torch.equal(agent.expected_gain, policy.expected_gain)
    observe_random(agent, 3)
    assert {len(t.members) for t in agent.replay_buffer.transitions} == {5}
    assert agent.learn()["td_loss"] > 0


def test_a_pretrained_network_may_leave_the_prior_at_once_and_one_from_scratch_may_not(saved):
    folder = saved(linear_policy(KIND, slope=2.0))
    assert (DoubleDQN(folder).deviation_starts, make_agent().deviation_starts) == (0, 20)
    assert DoubleDQN(folder).draw(torch.zeros(STATE), make_options(), spent=0.0).taken == [1]
    assert DoubleDQN(folder, deviation_starts=1).draw(torch.zeros(STATE), make_options(), spent=0.0).taken == [0]
    scratch = make_agent(deviation_starts=0)
    scratch.q_network = DoubleDQN(folder).q_network
    assert scratch.draw(torch.zeros(STATE), make_options(), spent=0.0).taken == [1]


def test_a_pretrained_network_learns_on_unless_it_is_told_not_to(saved):
    folder = saved(random_policy())
    for updates, changes in ((10, True), (0, False)):
        agent = DoubleDQN(folder, updates_per_round=updates, learning_rate=1e-2)
        observe_random(agent, 5)
        before = parameters(agent.q_network)
        if updates:
            agent.learn()
        assert all(map(torch.equal, before, parameters(agent.q_network))) != changes


def test_values_are_those_of_the_network_that_was_saved(saved):
    policy = random_policy(seed=3)
    options = make_options(kinds=(0.0, 0.4, 0.8))
    state = torch.linspace(0, 1, STATE)
    decision = DoubleDQN(saved(policy)).draw(state, options, spent=0.0)
    with torch.no_grad():
        values = policy.q_network(state[None], options.features[None], options.mask[None])
    assert torch.equal(decision.q, values[:, 0].mean(0))
    assert len(set(decision.q.tolist())) == 3


# ---- the guard, in a toy environment: each kind of option brings what the prior brings, and its effect


def sitting(folder, effects, noise, seed, rounds=20, expected=1.0):
    """What was taken, and whether the guard was closed, in each round; rewards in points."""
    agent, rng = DoubleDQN(folder, updates_per_round=2), np.random.default_rng(seed)
    agent.generator.manual_seed(seed)
    options = make_options(kinds=np.linspace(0, 1, len(effects)).tolist())
    taken, closed = [], []
    for round in range(rounds):
        state = torch.from_numpy(rng.random(STATE)).float()
        (choice,) = agent.draw(state, options, spent=round / rounds).taken
        taken.append(choice)
        closed.append(agent.guard.closed)
        reward = (expected + effects[choice] + noise * rng.normal()) / POINTS
        agent.record(state, options.features[choice], reward, state, options, left_default=choice != 0)
        agent.learn()
    return taken, closed


@pytest.mark.parametrize("seed", range(10))
def test_a_sabotaged_network_is_stopped_and_only_the_prior_is_taken_from_then_on(saved, seed):
    """All members prefer the worst option, whose reward is 8 points below the prior's."""
    folder = saved(linear_policy(KIND, slope=2.0, expected=1.0))
    taken, closed = sitting(folder, (0.0, -4.0, -8.0), noise=1.0, seed=seed)
    assert taken[:3] == [2, 2, 2], "three rounds are the least evidence"
    assert True in closed[:6]
    after = closed.index(True)
    assert closed[after:] == [True] * (20 - after)
    assert taken[after:] == [0] * (20 - after)


def test_against_much_noise_a_sabotaged_network_is_stopped_for_most_of_the_time(saved):
    """A harm of 6 points in a metric with a noise of 2; the guard may open again and close again."""
    folder = saved(linear_policy(KIND, slope=2.0, expected=1.0))
    runs = [sitting(folder, (0.0, -3.0, -6.0), noise=2.0, seed=seed) for seed in range(12)]
    assert all(any(closed) for _, closed in runs)
    assert np.mean([np.mean(np.array(taken) != 0) for taken, _ in runs]) < 0.3


def test_a_good_network_is_rarely_stopped(saved):
    """Two rounds of the prior are asked for, to have a comparison; from then on the network chooses."""
    folder = saved(linear_policy(KIND, slope=2.0, expected=1.0))
    runs = [sitting(folder, (0.0, 1.0, 2.0), noise=2.0, seed=seed) for seed in range(20)]
    undisturbed = [2, 2, 2, 0, 0, *[2] * 15]
    assert np.mean([taken == undisturbed for taken, _ in runs]) >= 0.9


def random_states(count):
    """Real states and options of random pools."""
    policy, states = Batches(), []
    for seed in range(count):
        signals, rng = (
            make_signals(seed, unlabeled=100, labeled=20, classes=4, dimension=16),
            np.random.default_rng(seed),
        )
        features = FeatureMap(signals, History([0.3, 0.5, 0.6]), np.ones(120), 0.3, rng)
        options = policy.options(policy.propose(signals, 10, rng), features, 10)
        states.append((torch.from_numpy(features.state()), options))
    return states


def test_members_that_contradict_each_other_admit_next_to_nothing_beside_the_prior(saved):
    """Random weights: all members like another batch better than the prior's only by chance."""
    states = random_states(12)

    def left(members, **options):
        agents = [DoubleDQN(saved(random_policy(seed, members, hidden=16)), **options) for seed in range(15)]
        return np.mean([agent.draw(*state, spent=0.5).taken != [0] for agent in agents for state in states])

    assert left(8) < 0.02
    assert left(4, doubt=1.0) > left(8, doubt=1.0) > left(16, doubt=1.0)
    assert left(8, doubt=0.0) > 0.8, "their mean alone nearly always likes another batch better"
    sure = DoubleDQN(saved(linear_policy("relative cost", slope=1.0)))
    assert all(sure.draw(*state, spent=0.5).taken == [0] for state in states), "they agree that all is worth the same"
