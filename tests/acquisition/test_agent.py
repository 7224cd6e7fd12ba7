import io
from collections import Counter

import numpy as np
import pytest
import torch
from agents import KIND, SAMPLE, STATE, make_agent, make_options, observe_random
from tiny import linear_policy, random_policy
from torch import nn

from lit_react.acquisition.agents.double_dqn import POINTS, DoubleDQN
from lit_react.acquisition.agents.guard import Guard
from lit_react.core.errors import UserError


class Values(nn.Module):
    """Members that give the options fixed values."""

    def __init__(self, *members):
        super().__init__()
        self.values = torch.tensor(members)

    def forward(self, state, samples, mask):
        return self.values[:, None]


def random_agent(seed=0, **options):
    """An agent whose network and target network are different and far from zero."""
    agent = make_agent(seed=seed, **options)
    generator = torch.Generator().manual_seed(seed)
    for network in (agent.q_network, agent.target_network):
        for parameter in network.parameters():
            parameter.data.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return agent


# ---- acting


def test_an_untrained_agent_takes_the_priors_option():
    agent, options = make_agent(), make_options(kinds=(0.0, 1.0, 2.0, 3.0), default=(2,))
    for spent in np.linspace(0, 1, 20):
        decision = agent.draw(torch.randn(STATE), options, spent=float(spent))
        assert decision.taken == [2]
        assert decision.probabilities.tolist() == [0, 0, 1, 0]


def test_draws_follow_the_boltzmann_distribution():
    agent = make_agent(alpha_start=0.5, alpha_end=0.5)
    agent.q_network = Values([0.0, 1.0, 2.0, -1.0], [0.0, 3.0, 2.0, 1.0])
    options = make_options(kinds=(0.0,) * 4, default=range(4))
    expected = torch.softmax(0.5 * torch.tensor([0.0, 2.0, 2.0, 0.0]), 0)
    drawn = Counter()
    for _ in range(3000):
        decision = agent.draw(torch.zeros(STATE), options, spent=0.3)
        drawn[decision.taken[0]] += 1
    assert torch.allclose(decision.probabilities, expected)
    counts = np.array([drawn[i] for i in range(4)])
    chi_square = ((counts - 3000 * expected.numpy()) ** 2 / (3000 * expected.numpy())).sum()
    assert chi_square < 16.3, "beyond the 99.9 % quantile of 3 degrees of freedom"


def test_several_options_are_drawn_without_replacement():
    agent = make_agent(alpha_start=1.0, alpha_end=1.0)
    agent.q_network = Values([0.0, 1.0, -1.0])
    options = make_options(kinds=(0.0,) * 3, default=range(3), takes=2)
    p = torch.softmax(torch.tensor([0.0, 1.0, -1.0]), 0).tolist()
    drawn = Counter(tuple(agent.draw(torch.zeros(STATE), options, spent=0).taken) for _ in range(3000))
    for (i, j), count in drawn.items():
        assert i != j
        assert count / 3000 == pytest.approx(p[i] * p[j] / (1 - p[i]), abs=0.035)


def test_options_that_the_evidence_does_not_admit_are_never_taken():
    agent = make_agent(deviation_starts=1, doubt=1.0, alpha_start=0.1)
    observe_random(agent, 4)
    #                       prior  sure  doubtful  worse
    agent.q_network = Values([0.0, 2.0, 9.0, -1.0], [0.0, 3.0, -1.0, -1.0])
    options = make_options(kinds=(0.0,) * 4, default=(0,))
    decisions = [agent.draw(torch.zeros(STATE), options, spent=0) for _ in range(200)]
    assert {d.taken[0] for d in decisions} == {0, 1}
    probabilities = decisions[0].probabilities
    assert probabilities[2] == probabilities[3] == 0
    assert torch.allclose(probabilities[:2], torch.softmax(0.1 * torch.tensor([0.0, 2.5]), 0))


def test_no_option_beside_the_priors_is_taken_before_deviation_starts():
    agent = make_agent(deviation_starts=5)
    agent.q_network = Values([0.0, 100.0], [0.0, 100.0])
    observe_random(agent, 4)
    assert agent.draw(torch.zeros(STATE), make_options(), spent=0.5).taken == [0]
    observe_random(agent, 1)
    assert agent.draw(torch.zeros(STATE), make_options(), spent=0.5).taken == [1]


def test_alpha_rises_linearly_with_the_spent_budget():
    agent = make_agent(alpha_start=2.0, alpha_end=10.0)
    assert [agent.alpha(s) for s in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([2.0, 4.0, 6.0, 10.0])
    assert agent.alpha(-0.1) == 2.0
    assert agent.alpha(1.2) == 10.0
    assert agent.draw(torch.zeros(STATE), make_options(), spent=0.5).alpha == 6.0


# ---- learning from evidence


def after_experience(reward_of, seed, count=40):
    """Probability of the option of kind 1 beside the prior of kind 0, after so many purchases of either kind."""
    agent = make_agent(seed=seed)
    rng = np.random.default_rng(seed)
    options = make_options()
    for i in range(count):
        kind, state = i % 2, torch.from_numpy(rng.random(STATE)).float()
        agent.record(state, options.features[kind], reward_of(kind, i, rng), state, None, left_default=kind == 1)
        if i % 10 == 9:
            agent.learn()
    return float(agent.draw(torch.full((STATE,), 0.5), options, spent=1.0).probabilities[1])


@pytest.mark.parametrize("seed", range(3))
def test_consistent_evidence_makes_the_agent_leave_the_prior(seed):
    assert after_experience(lambda kind, i, rng: 0.05 * kind, seed) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_evidence_against_an_option_keeps_the_prior(seed):
    assert after_experience(lambda kind, i, rng: -0.05 * kind, seed) == 0


def test_evidence_against_an_option_keeps_the_prior_without_the_guard_too(monkeypatch):
    monkeypatch.setattr(Guard, "closed", False)
    assert after_experience(lambda kind, i, rng: -0.05 * kind, 0) == 0


def test_contradicting_evidence_keeps_the_prior():
    def contradicting(kind, i, rng):
        return 0.05 * kind * (1 if i % 4 == 1 else -1)

    assert sum(after_experience(contradicting, seed) > 0 for seed in range(4)) <= 1


def test_terminal_transitions_alone_can_be_learned_from():
    agent = make_agent(batch_size=4, updates_per_round=3)
    observe_random(agent, 2, ended=lambda i: True)
    assert agent.learn()["td_loss"] > 0


# ---- the target


def reference_loss(agent, batch_size):
    """The TD loss of the next update, transition by transition and member by member, without padding."""
    generator = torch.Generator()
    generator.set_state(agent.generator.get_state())
    drawn = torch.randint(len(agent.replay_buffer), (batch_size,), generator=generator).tolist()
    total, weight = 0.0, 0
    for index in drawn:
        t = agent.replay_buffer.transitions[index]
        exists = t.next_mask.any(-1)
        choices, features, prior = t.next_mask[exists][None], t.next_options[exists][None], t.next_default[exists]
        for member in np.flatnonzero(t.members.numpy()):
            value = 0.0
            if len(choices[0]):
                q = agent.q_network(t.next_state[None], features, choices)[:, 0].detach()
                advantage = q - q[:, prior].mean(1, keepdim=True)
                better = advantage.mean(0) - agent.doubt * advantage.std(0, unbiased=False) > 0
                free = len(agent.replay_buffer) >= agent.deviation_starts
                allowed = (prior | better if free else prior).numpy()
                choosing = q[member].numpy()[allowed]
                valuing = agent.target_network(t.next_state[None], features, choices)[member, 0].numpy()[allowed]
                value = valuing[np.argsort(-choosing)[: t.next_takes]].mean()
            target = t.reward + t.discount * value
            every = torch.ones(1, 1, len(t.action), dtype=torch.bool)
            error = abs(
                float(agent.q_network(t.state[None], t.action[None, None], every)[member, 0, 0].detach()) - target
            )
            total += 0.5 * error**2 if error < 1 else error - 0.5
            weight += 1
    return total / weight


@pytest.mark.parametrize("free", [{"deviation_starts": 0, "doubt": -1e6}, {"deviation_starts": 0, "doubt": 0.5}, {}])
def test_td_loss_equals_the_double_dqn_reference(free):
    agent = random_agent(updates_per_round=1, batch_size=16, gamma=0.7, **free)
    observe_random(agent, 12)
    expected = reference_loss(agent, 16)
    assert agent.learn()["td_loss"] == pytest.approx(expected, rel=1e-4)


def test_there_is_no_update_before_the_first_transition():
    assert make_agent().learn() == {}


def test_a_network_that_shall_stay_as_it_is_learns_nothing():
    agent = random_agent(updates_per_round=0)
    observe_random(agent, 8)
    before = [p.clone() for p in agent.q_network.parameters()]
    assert agent.learn() == {}
    assert all(torch.equal(p, q) for p, q in zip(before, agent.q_network.parameters(), strict=True))


def test_the_target_network_moves_by_tau():
    agent = random_agent(updates_per_round=1, tau=0.25)
    observe_random(agent, 8)
    before = [p.clone() for p in agent.target_network.parameters()]
    agent.learn()
    moved = zip(before, agent.target_network.parameters(), agent.q_network.parameters(), strict=True)
    for old, new, online in moved:
        assert torch.allclose(new, 0.75 * old + 0.25 * online, atol=1e-6)
        assert not new.requires_grad


def stored(agent):
    return [(t.reward, t.discount) for t in agent.replay_buffer.transitions]


def feed(agent, rewards, ends_at=None):
    """Purchases whose states are numbered; in points."""
    options = make_options()
    for i, reward in enumerate(rewards):
        state, following = torch.full((STATE,), float(i)), torch.full((STATE,), float(i + 1))
        ended = i == ends_at
        agent.record(state, options.features[0] + i, reward / POINTS, following, None if ended else options)


def test_one_step_returns_are_the_rewards_in_points():
    agent = make_agent(gamma=0.5)
    feed(agent, [1.0, 2.0, 4.0], ends_at=2)
    assert stored(agent) == [(pytest.approx(r), d) for r, d in ((1.0, 0.5), (2.0, 0.5), (4.0, 0.0))]


def test_each_member_learns_from_most_transitions_but_not_the_same():
    agent = make_agent(members=3)
    feed(agent, [0.0] * 200)
    members = torch.stack([t.members for t in agent.replay_buffer.transitions]).float()
    assert torch.all((members.mean(0) - 0.8).abs() < 0.1)
    assert len(torch.unique(members, dim=0)) > 4


# ---- state


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def test_a_loaded_agent_remembers_its_guard(saved):
    folder = saved(linear_policy(KIND, slope=2.0, expected=1.0))
    agent, loaded = DoubleDQN(folder), DoubleDQN(folder)
    for reward in (-0.08, -0.08, -0.08, 0.01, 0.01):
        where, left = torch.zeros(STATE), reward < 0
        agent.record(where, torch.ones(3, SAMPLE), reward, where, None, left_default=left)
    assert agent.guard.left == pytest.approx([-9.0] * 3)
    assert agent.guard.kept == pytest.approx([0.0] * 2, abs=1e-5)
    state = through_a_file(agent.state_dict())
    loaded.load_state_dict(state)
    assert loaded.guard.closed
    assert loaded.draw(torch.zeros(STATE), make_options(), spent=0.0).taken == [0]
    loaded.record(torch.zeros(STATE), torch.ones(3, SAMPLE), 0.0, torch.zeros(STATE), None)
    assert [len(kept) for kept in (agent.guard.kept, state["guard"]["kept"], loaded.guard.kept)] == [2, 2, 3]


def test_a_state_brings_its_expected_gain_so_that_a_newer_policy_does_not_shift_the_guards_yardstick(saved):
    agent, other = (DoubleDQN(saved(random_policy(seed), f"policy_{seed}")) for seed in (0, 1))
    assert not torch.equal(agent.expected_gain, other.expected_gain)
    other.load_state_dict(through_a_file(agent.state_dict()))
    assert torch.equal(agent.expected_gain, other.expected_gain)


@pytest.mark.parametrize("size", [{"members": 4}, {"hidden": 9}])
def test_a_state_of_a_network_of_another_size_is_refused_in_one_line(saved, size):
    agent = DoubleDQN(saved(random_policy(), "one"))
    other = DoubleDQN(saved(random_policy(**size), "other"))
    with pytest.raises(UserError, match=r"acquisition\.agent: the run was begun with a network of another size"):
        other.load_state_dict(agent.state_dict())


def decisions_and_losses(agent):
    """What the agent does next: learn, decide, observe, learn."""
    found = [agent.learn()]
    options = make_options(kinds=tuple(np.linspace(-1, 1, 6)), default=range(6))
    for i in range(10):
        found.append(tuple(agent.draw(torch.full((STATE,), i / 10), options, spent=i / 10).taken))
    observe_random(agent, 3, seed=5)
    return [*found, agent.learn()]


def test_a_loaded_agent_decides_and_learns_like_the_saved_one():
    agent = make_agent(updates_per_round=5)
    observe_random(agent, 9)
    agent.learn()
    loaded = make_agent(updates_per_round=5, seed=99)
    loaded.load_state_dict(through_a_file(agent.state_dict()))
    assert decisions_and_losses(loaded) == decisions_and_losses(agent)


def test_a_state_keeps_its_values_while_the_agent_learns_on():
    agent = make_agent(updates_per_round=5)
    observe_random(agent, 9)
    agent.learn()
    state = agent.state_dict()
    then = through_a_file(state)
    agent.learn()
    loaded, expected = make_agent(updates_per_round=5), make_agent(updates_per_round=5)
    loaded.load_state_dict(state)
    expected.load_state_dict(then)
    assert decisions_and_losses(loaded) == decisions_and_losses(expected)


def test_a_loaded_pretrained_agent_goes_on_like_the_saved_one(saved):
    folder = saved(random_policy())
    agent = DoubleDQN(folder, updates_per_round=5)
    observe_random(agent, 9)
    agent.learn()
    loaded = DoubleDQN(folder, updates_per_round=5, seed=99)
    loaded.load_state_dict(through_a_file(agent.state_dict()))
    assert decisions_and_losses(loaded) == decisions_and_losses(agent)


def test_rewards_that_are_mostly_error_move_neither_network_nor_guard_until_many_are_there():
    agent, state, action = make_agent(), torch.ones(STATE), torch.ones(3, SAMPLE)
    before = [parameter.clone() for parameter in agent.q_network.parameters()]
    for _ in range(9):
        agent.record(state, action, 5.0, state, None, left_default=True, weight=0.1)
        assert agent.learn() == {}
    assert all(torch.equal(old, new) for old, new in zip(before, agent.q_network.parameters(), strict=True))
    assert not agent.guard.left
    for _ in range(2):
        agent.record(state, action, 5.0, state, None, weight=0.1)
    assert agent.learn()["td_loss"] > 0
