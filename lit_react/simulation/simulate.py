"""`simulate`: embed the sources, compare batches in simulated episodes, train the policy, measure it on unseen sets."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lightning.pytorch.loggers import Logger
from rich import box
from rich.console import Console
from rich.table import Table
from tqdm.auto import tqdm

from lit_react.acquisition.features import SAMPLE_FEATURES, STATE_FEATURES
from lit_react.acquisition.pretrained import PretrainedPolicy
from lit_react.acquisition.proposals import DEFAULT_STRATEGIES, Batches
from lit_react.core.errors import UserError
from lit_react.core.files import write_json
from lit_react.core.same_work import check_same_making
from lit_react.core.statistics import bootstrap_interval, wilcoxon
from lit_react.core.version import __version__
from lit_react.core.wandb_logger import Wandb, wandb_logger
from lit_react.simulation.collection import collect, load_comparisons
from lit_react.simulation.comparison import Comparisons, Episodes
from lit_react.simulation.evaluation import WHICH, Evaluation, evaluate, load_results
from lit_react.simulation.sources import Encoder, LabeledSet, embedded_sources
from lit_react.simulation.training import Training, expected_gain, lessons, train

Tell = Callable[[int, float], None]


def simulate(
    *,
    folder: Path,
    sources: dict[str, LabeledSet],
    strategies: Sequence[str] = DEFAULT_STRATEGIES,
    seed: int = 0,
    encoder: Encoder = Encoder(),  # noqa: B008
    episodes: Episodes = Episodes(),  # noqa: B008
    training: Training = Training(),  # noqa: B008
    evaluation: Evaluation = Evaluation(),  # noqa: B008
    wandb: Wandb = Wandb(),  # noqa: B008
) -> None:
    """Train an acquisition policy in simulated annotation; the same command again goes on where it was stopped.

    Writes `policy/`, trained on all sets, and `without_NAME/` for each set, trained without it and its relatives, by
    which the policy is measured. Give a policy to `fit` as `--acquisition.agent.pretrained FOLDER`.

    Args:
        folder: of the simulation.
        sources: labeled data sets by name.
        strategies: options of the policy; the first is the default rule.
        seed: of everything.
        encoder: how texts are embedded.
        episodes: what is simulated.
        training: how the network learns.
        evaluation: how the policies are measured.
        wandb: where loss and results go.
    """
    proposals, names = Batches(strategies), list(sources)
    _check_relatives(sources)
    made_of = {
        "sources": {name: asdict(labeled_set) for name, labeled_set in sources.items()},
        "strategies": list(strategies),
        "seed": seed,
        "encoder": asdict(encoder),
        "state_features": list(STATE_FEATURES),
        "sample_features": list(SAMPLE_FEATURES),
        "episodes": {key: value for key, value in asdict(episodes).items() if key not in ("workers", "per_source")},
    }
    check_same_making(folder / "simulation.json", made_of, "simulation")  # its episodes are not mixed with others'
    _run(embedded_sources(sources, encoder, folder / "sources"), len(names), "sources")
    count = len(names) * episodes.per_source
    paths = sorted(_run(collect(folder, names, episodes, proposals, seed), count, "simulated episodes"))
    found = [(used, comparisons) for used, comparisons in map(load_comparisons, paths) if comparisons is not None]
    logger = wandb_logger(wandb, folder)
    card = made_of | {
        "command": shlex.join(["python", "-m", "lit_react", *sys.argv[1:]]),
        "version": __version__,
        "training": asdict(training),
        "episodes": asdict(episodes),
    }
    for name in tqdm([*names, None], desc="policies", leave=False):
        hidden = _hidden(name, sources) if name else set()
        used = [(origin[0], comparisons) for origin, comparisons in found if not hidden & set(origin)]
        target = folder / (f"without_{name}" if name else "policy")
        _train_policy(target, used, training, seed, card, partial(_tell, logger, target.name))
    done = _run(evaluate(folder, names, evaluation, proposals), len(names) * evaluation.seeds, "runs on unseen sets")
    measured = _summary(load_results(sorted(done)))
    _finish(folder / "policy", {"measured": measured, "evaluation": asdict(evaluation)})
    if logger:
        logger.log_metrics({f"unseen/{name}": row["difference"] for name, row in measured.items()})
        logger.experiment.finish()


def _tell(logger: Logger | None, key: str, epoch: int, loss: float) -> None:
    """Send an epoch's loss to W&B, where that is on."""
    if logger is not None:
        logger.log_metrics({f"{key}/loss": loss, f"{key}/epoch": epoch})


def _run(steps: Iterable[Any], total: int, what: str) -> list[Any]:
    return list(tqdm(steps, total=total, desc=what, leave=False))


def _check_relatives(sources: dict[str, LabeledSet]) -> None:
    for name, labeled_set in sources.items():
        for relative in labeled_set.relatives or []:
            if relative not in sources:
                raise UserError(f"sources.{name}.relatives: {relative!r} is none of the sources, {', '.join(sources)}")


def _hidden(name: str, sources: dict[str, LabeledSet]) -> set[str]:
    """A set and its relatives, whichever of two names the other."""
    naming = {other for other, labeled_set in sources.items() if name in (labeled_set.relatives or [])}
    return {name, *(sources[name].relatives or []), *naming}


def _train_policy(
    folder: Path,
    episodes: list[tuple[str, Comparisons]],
    training: Training,
    seed: int,
    card: dict[str, Any],
    tell: Tell,
) -> None:
    """Train and save, unless that is done; what was measured by an older policy there is thrown away."""
    if not episodes:
        raise UserError("episodes.per_source: nothing to learn from is left; simulate more episodes or more sources")
    learned_from = (tensor.numpy().tobytes() for _, c in episodes for tensor in (c.states, c.options, c.rewards))
    digest = hashlib.sha256(b"".join(learned_from))
    digest.update(json.dumps([asdict(training), seed, STATE_FEATURES, SAMPLE_FEATURES]).encode())
    card = card | {"trained_on": sorted({name for name, _ in episodes}), "digest": digest.hexdigest()}
    if (folder / "policy.json").exists() and _read_card(folder).get("digest") == card["digest"]:
        return
    for path in folder.glob("seed_*.json"):
        path.unlink()
    network = train(lessons(episodes, training.gamma), training, seed, tell)
    states = sum(len(comparisons.states) for _, comparisons in episodes)
    PretrainedPolicy(network, expected_gain(episodes, default=0), card | {"states": states}).save(folder)


def _read_card(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "policy.json").read_text())


def _summary(runs: pd.DataFrame) -> dict[str, dict[str, float]]:
    """AULC in points of policy and default rule by set, and over all runs."""
    summary = {}
    for name in [*runs["set"].unique(), "all"]:
        chosen = runs if name == "all" else runs[runs["set"] == name]
        policy, default_rule = (chosen[which].to_numpy() for which in WHICH)
        low, high = bootstrap_interval(policy - default_rule, np.random.default_rng(0))
        summary[name] = {
            "policy": float(policy.mean()),
            "default_rule": float(default_rule.mean()),
            "difference": float((policy - default_rule).mean()),
            "low": low,
            "high": high,
            "p": wilcoxon(policy - default_rule),
            "runs": len(chosen),
        }
    return summary


def _finish(folder: Path, results: dict[str, Any]) -> None:
    """The results go into the card and onto the screen."""
    write_json(folder / "policy.json", _read_card(folder) | results)
    title = "AULC (points) on sets that the policy was not trained on, simulated"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("set", "runs", "default rule", "policy", "difference", "95 % interval", "p"):
        table.add_column(column, justify="left" if column == "set" else "right")
    for name, row in results["measured"].items():
        interval = f"{row['low']:+.2f} … {row['high']:+.2f}"
        numbers = (f"{row['default_rule']:.1f}", f"{row['policy']:.1f}", f"{row['difference']:+.2f}", interval)
        table.add_row(name, str(row["runs"]), *numbers, f"{row['p']:.3f}")
    Console().print(table)
    print(f"policy: {folder}")
