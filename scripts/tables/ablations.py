"""What of the policy's training matters: gain over the default rule on sets that were not trained on.

    python scripts/tables/ablations.py [--folder runs/simulate]

Reads the episodes that `simulate` left. Sets are held out in four groups; in each of their states the trained network
chooses among the options, and what that choice brought (Σ γ^h r_h with the default γ, in points) is compared with what
the default rule's batch brought there. A way begins with the standard deviations of the ensemble that an advantage must
exceed. "Left" is the share of states in which another batch than the default rule's was chosen.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lit_react.acquisition.agents import DoubleDQN
from lit_react.acquisition.agents.replay import Transition
from lit_react.acquisition.features import STATE_FEATURES
from lit_react.acquisition.q_network import QNetwork
from lit_react.simulation.collection import load_comparisons
from lit_react.simulation.comparison import Comparisons, Episodes
from lit_react.simulation.training import Training, lessons, train

GROUPS = (
    {"trec6", "trec50", "snips"},
    {"sst2", "subj", "bbc_news"},
    {"ag_news", "fewclue_tnews", "financial_phrasebank"},
    {"tweeteval_emotion", "semeval2010_task8"},
)
DEFAULT = Training()


Seen = Sequence[tuple[str, Comparisons]]
Learner = Callable[[Seen, Training], QNetwork]


def comparisons(seen: Seen, training: Training) -> QNetwork:
    """As `simulate` trains."""
    return train(lessons(seen, training.gamma), training, seed=0)


def without_state(seen: Seen, training: Training) -> QNetwork:
    """A constant is not listened to, neither here nor later."""
    data = lessons(seen, training.gamma)
    return train(replace(data, states=torch.zeros_like(data.states)), training, seed=0)


def actions(seen: Seen) -> tuple[Tensor, Tensor]:
    """An option per state, [n], and whether the episode went on with it; a random one where that was the best."""
    taken = torch.cat([found.taken for _, found in seen])
    drawn = torch.randint(seen[0][1].options.shape[1], taken.shape, generator=torch.Generator().manual_seed(0))
    return torch.where(taken < 0, drawn, taken), taken >= 0


def monte_carlo(seen: Seen, training: Training) -> QNetwork:
    """Returns of one option per state instead of comparisons."""
    data = lessons(seen, training.gamma)
    pick = (torch.arange(len(data.states)), actions(seen)[0])
    options, mask, returns = data.options[pick], data.mask[pick], data.returns[pick]
    single = replace(data, options=options[:, None], mask=mask[:, None], returns=returns[:, None])
    return train(single, training, seed=0)


def temporal_difference(seen: Seen, training: Training) -> QNetwork:
    """As the agent learns in a run, of the same options: rewards up to the next state, and its Q-value.

    Unless that option, and then the default rule, led to it within the rewards kept, the return stands as in
    `monte_carlo`: for half of the states. Episodes are taken to have the default number of rounds.
    """
    data = lessons(seen, training.gamma)
    taken, followed = actions(seen)
    rewards = torch.cat([found.rewards for _, found in seen])[torch.arange(len(taken)), taken]
    horizon = torch.arange(rewards.shape[1])
    rounds = (data.states[:, STATE_FEATURES.index("budget spent (share)")] * Episodes().rounds).round()
    gap = rounds.roll(-1) - rounds
    followed &= (data.episodes.roll(-1) == data.episodes) & (gap <= len(horizon))
    returns = (rewards * training.gamma**horizon * (~followed[:, None] | (horizon < gap[:, None]))).sum(1)
    discounts = followed * training.gamma**gap
    shared = {name: value for name, value in vars(training).items() if name not in ("level", "epochs")}
    agent = DoubleDQN(pretrained=None, doubt=1.0, deviation_starts=0, updates_per_round=1, **shared)
    inputs = torch.cat([data.states[:, None, None].expand(*data.mask.shape, -1), data.options], dim=-1)[data.mask]
    agent.q_network.standardise(inputs)
    agent.target_network.standardise(inputs)
    weights = torch.poisson(torch.ones(len(seen), training.members), generator=agent.generator)[data.episodes]
    default = torch.arange(data.mask.shape[1]) == 0
    for row, option in enumerate(taken.tolist()):
        action, reward = data.options[row, option][data.mask[row, option]], float(returns[row])
        after = row + int(followed[row])
        state, options, mask = data.states[after], data.options[after], data.mask[after]
        step = Transition(
            data.states[row], action, reward, float(discounts[row]), state, options, mask, default, 1, weights[row]
        )
        agent.replay_buffer.add(step)
    updates = training.epochs * -(-len(taken) // training.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(agent.optimizer, updates)
    for _ in range(updates):
        agent.learn()
        schedule.step()
    return agent.q_network.eval()


WAYS: dict[str, tuple[Training, float, Learner]] = {
    "five standard deviations (the default)": (DEFAULT, 5.0, comparisons),
    "three": (DEFAULT, 3.0, comparisons),
    "one": (DEFAULT, 1.0, comparisons),
    "none: the ensemble's mean": (DEFAULT, 0.0, comparisons),
    "no ensemble": (replace(DEFAULT, members=1), 0.0, comparisons),
    "one; one step, no look-ahead (contextual selector)": (replace(DEFAULT, gamma=0.0), 1.0, comparisons),
    "one; no discount": (replace(DEFAULT, gamma=1.0), 1.0, comparisons),
    "one; single trajectories (Monte-Carlo)": (replace(DEFAULT, level=1.0), 1.0, monte_carlo),
    "one; single trajectories (TD, double DQN)": (DEFAULT, 1.0, temporal_difference),
    "one; without state features": (DEFAULT, 1.0, without_state),
}


def gains(folder: Path, training: Training, doubt: float, learner: Learner) -> tuple[Tensor, Tensor, Tensor]:
    """Gain over the default rule, whether it was left, and the episode, of each state of a group that is held out."""
    paths = sorted((folder / "episodes").glob("*.safetensors"))
    found = [(used, c) for used, c in map(load_comparisons, paths) if c is not None]
    won: list[Tensor] = []
    left: list[Tensor] = []
    episodes: list[Tensor] = []
    for group in GROUPS:
        seen = [(used[0], c) for used, c in found if not group & set(used)]
        unseen = [(used[0], c) for used, c in found if set(used) <= group]
        network = learner(seen, training)
        judged = lessons(unseen, DEFAULT.gamma)
        with torch.no_grad():
            values = network(judged.states, judged.options, judged.mask)
        advantage = values - values[..., :1]
        admitted = advantage.mean(0) - doubt * advantage.std(0, unbiased=False) > 0
        admitted[:, 0] = True
        chosen = torch.where(admitted, values.mean(0), -torch.inf).argmax(1)
        won.append(judged.returns[torch.arange(len(chosen)), chosen] - judged.returns[:, 0])
        left.append(chosen != 0)
        episodes.append(judged.episodes + sum(len(earlier.unique()) for earlier in episodes))
    return torch.cat(won), torch.cat(left), torch.cat(episodes)


def clustered_error(values: Tensor, clusters: Tensor) -> float:
    """Standard error of the mean where values of one cluster, an episode's states, depend on each other."""
    sums = torch.zeros(int(clusters.max()) + 1).index_add(0, clusters, values - values.mean())
    return float(sums.square().sum().sqrt()) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/simulate"))
    options = parser.parse_args()
    print("| way | gain over the default rule | standard error | left |\n|---|---|---|---|")
    for way, (training, doubt, learner) in WAYS.items():
        won, left, episodes = gains(options.folder, training, doubt, learner)
        error = clustered_error(won, episodes)
        print(
            f"| {way} | {float(won.mean()):+.3f} | {error:.3f} | {100 * float(left.float().mean()):.0f} % |", flush=True
        )


if __name__ == "__main__":
    main()
