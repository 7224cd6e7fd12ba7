"""What of the policy's training matters: gain over the prior rule on sets that were not trained on.

    python scripts/tables/ablations.py [--folder runs/simulate]

Reads the episodes that `simulate` left. Sets are held out in four groups; in each of their states the trained network
chooses among the options, and what that choice brought (Σ γ^h r_h with the default γ, in points) is compared with what
the prior's batch brought there. A way begins with the standard deviations of the ensemble that an advantage must
exceed. "Left" is the share of states in which another batch than the prior's was chosen.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lit_react.simulation.collection import load_comparisons
from lit_react.simulation.training import Lessons, Training, lessons, train

GROUPS = (
    {"trec6", "trec50", "snips"},
    {"sst2", "subj", "bbc_news"},
    {"ag_news", "fewclue_tnews", "financial_phrasebank"},
    {"tweeteval_emotion", "semeval2010_task8"},
)
DEFAULT = Training()


def same(data: Lessons) -> Lessons:
    return data


def without_state(data: Lessons) -> Lessons:
    return replace(data, states=torch.zeros_like(data.states))


def single_trajectory(data: Lessons) -> Lessons:
    """One option per state, as a run sees it: Monte-Carlo returns instead of comparisons."""
    rows = torch.arange(len(data.states))
    taken = torch.randint(data.returns.shape[1], (len(rows),), generator=torch.Generator().manual_seed(0))
    pick = (rows, taken)
    return replace(
        data, options=data.options[pick][:, None], mask=data.mask[pick][:, None], returns=data.returns[pick][:, None]
    )


WAYS: dict[str, tuple[Training, float, Callable[[Lessons], Lessons]]] = {
    "five standard deviations (the default)": (DEFAULT, 5.0, same),
    "three": (DEFAULT, 3.0, same),
    "one": (DEFAULT, 1.0, same),
    "none: the ensemble's mean": (DEFAULT, 0.0, same),
    "no ensemble": (replace(DEFAULT, members=1), 0.0, same),
    "one; one step, no look-ahead (contextual selector)": (replace(DEFAULT, gamma=0.0), 1.0, same),
    "one; no discount": (replace(DEFAULT, gamma=1.0), 1.0, same),
    "one; single trajectories (Monte-Carlo)": (replace(DEFAULT, level=1.0), 1.0, single_trajectory),
    "one; without state features": (DEFAULT, 1.0, without_state),
}


def gains(
    folder: Path, training: Training, doubt: float, view: Callable[[Lessons], Lessons]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gain over the prior, whether it was left, and the episode, of each state when its group of sets is held out."""
    paths = sorted((folder / "episodes").glob("*.safetensors"))
    found = [(used, c) for used, c in map(load_comparisons, paths) if c is not None]
    won, left, episodes = [], [], []
    for group in GROUPS:
        seen = [(used[0], c) for used, c in found if not group & set(used)]
        unseen = [(used[0], c) for used, c in found if set(used) <= group]
        network = train(view(lessons(seen, training.gamma)), training, seed=0)
        judged = lessons(unseen, DEFAULT.gamma)
        shown = judged if view is single_trajectory else view(judged)
        with torch.no_grad():
            values = network(shown.states, shown.options, shown.mask)
        advantage = values - values[..., :1]
        admitted = advantage.mean(0) - doubt * advantage.std(0, unbiased=False) > 0
        admitted[:, 0] = True
        chosen = torch.where(admitted, values.mean(0), -torch.inf).argmax(1)
        won.append(judged.returns[torch.arange(len(chosen)), chosen] - judged.returns[:, 0])
        left.append(chosen != 0)
        episodes.append(judged.episodes + sum(len(e.unique()) for e in episodes))
    return torch.cat(won), torch.cat(left), torch.cat(episodes)


def clustered_error(values: Tensor, clusters: Tensor) -> float:
    """Standard error of the mean where values of one cluster, an episode's states, depend on each other."""
    sums = torch.zeros(int(clusters.max()) + 1).index_add(0, clusters, values - values.mean())
    return float(sums.square().sum().sqrt()) / len(values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/simulate"))
    options = parser.parse_args()
    print("| way | gain over the prior | standard error | left |\n|---|---|---|---|")
    for way, (training, doubt, view) in WAYS.items():
        won, left, episodes = gains(options.folder, training, doubt, view)
        error = clustered_error(won, episodes)
        print(
            f"| {way} | {float(won.mean()):+.3f} | {error:.3f} | {100 * float(left.float().mean()):.0f} % |", flush=True
        )


if __name__ == "__main__":
    main()
