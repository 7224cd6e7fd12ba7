"""`tune`: search options of `fit` by the labels that a run has bought; each trial is that run with other options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml
from tqdm import tqdm

from lit_react.core.bounds import expect
from lit_react.core.extras import check_installed
from lit_react.core.files import write_atomically
from lit_react.core.same_work import check_same_making, hold
from lit_react.core.terminal import plain
from lit_react.experiments.executors import LocalExecutor
from lit_react.experiments.jobs import LOG, Job
from lit_react.experiments.search_space import Options, distributions, fragment, lowest
from lit_react.experiments.study import PRUNED, Pruning, open_study, worth
from lit_react.run.replay import bought_by, lay_out, measured, replay_of
from lit_react.run.results import read_results

if TYPE_CHECKING:
    import optuna

STUDY, BEST = "study.sqlite", "best.yaml"


def tune(
    *,
    run: Path,
    folder: Path,
    space: dict[str, Any],
    trials: int = 20,
    workers: int | None = None,
) -> None:
    """Search options of `fit` by the labels that a run has bought; the same command goes on where it was stopped.

    Each trial learns in each round what the run had learned in it, with options of its own; no label is bought, and no
    test label is read. A trial is worth the share of bought rows that its fits predicted right before they learned
    them; where the run has validation labels, the metric on these, its mean over the rounds. A trial that is below the
    median of the others, in the second half of its rounds, is cut short. The best options are written to `best.yaml`,
    for `fit --config`. The exit code is 1 if a trial failed.

    Args:
        run: folder of a run of `fit` whose labels choose; its options are those of the trials but for the space.
        folder: of the study (`study.sqlite`) and its trials.
        space: option of `fit`, by dotted name → `{float: [low, high]}`, `{int: [low, high]}`, both with `log: true`
            where wanted, or `{choices: [a, b]}`.
        trials: how many, those of an earlier command included.
        workers: trials at once; None: one for each core.
    """
    check_installed("optuna", "tune", "tune")
    expect("trials", trials, at_least=1)
    executor = LocalExecutor(workers)
    again = replay_of(run)
    rounds = len(measured(run)[0])
    search = Search(run, folder, space, again, after=max(rounds // 2, 1))
    search.check()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with hold(folder):
        begun_with = {"run": str(run), "rounds": rounds, "space": space}
        check_same_making(folder / "study.json", begun_with, "study")
        study = open_study(folder / STUDY)
        failed = search.go_on(study, trials, executor)
        for line in failed:
            print(plain(line), file=sys.stderr)
        search.show(study)
    if failed:
        sys.exit(1)


@dataclass(frozen=True)
class Search:
    """A study of options; the arguments are those of `tune`.

    Attributes:
        again: options with which a trial is the run once more, see `replay_of`.
        after: rounds of a trial before it may be cut short.
    """

    run: Path
    folder: Path
    space: dict[str, Any]
    again: Options
    after: int

    def job(self, number: int, params: Options) -> Job:
        """The trial as a run of `fit`."""
        rule = Pruning(self.folder / STUDY, number, self.after)
        given = vars(rule) | {"study": str(rule.study)}
        stopping = {"class_path": f"{Pruning.__module__}.{Pruning.__name__}", "init_args": given}
        options = params | self.again | {"rounds.stopping": stopping}
        return Job(self.folder / f"trial_{number:03d}", (str(self.run / "config.yaml"),), options, options)

    def check(self) -> None:
        """See that `fit` takes the options, before anything is written; a `UserError` where it does not."""
        from lit_react.cli.lightning_cli import ParsedOnly, run_lightning  # seconds of imports

        distributions(self.space)
        run_lightning(self.job(0, lowest(self.space)).arguments(), ParsedOnly)

    def go_on(self, study: optuna.Study, trials: int, executor: LocalExecutor) -> list[str]:
        """Finish the trials that were cut off, then begin others up to so many; a line for each that failed."""
        failed = []
        ended = sum(trial.state.is_finished() and bool(trial.params) for trial in study.trials)
        bar = tqdm(total=max(trials, ended), initial=ended, unit="trial", file=sys.stderr)
        with bar, closing(executor.run(self._jobs(study, trials))) as outcomes:
            for job, wrong in outcomes:
                if wrong is not None:
                    failed.append(f"failed: {job.folder.name}: {wrong} ({job.folder / LOG})")
                self._tell(study, job, wrong)
                bar.update()
        return failed

    def _jobs(self, study: optuna.Study, trials: int) -> Iterator[Job]:
        for trial in study.trials:
            if trial.state.is_finished():
                continue
            if trial.params.keys() != self.space.keys():  # killed while it was drawn
                study.tell(trial.number, state=_state("FAIL"))
            else:
                yield self._laid_out(trial)
        drawn_from = distributions(self.space)
        while sum(trial.params.keys() == self.space.keys() for trial in study.trials) < trials:
            yield self._laid_out(study.ask(drawn_from))

    def _laid_out(self, trial: Any) -> Job:
        job = self.job(trial.number, trial.params)
        lay_out(self.run, job.folder)
        return job

    def _tell(self, study: optuna.Study, job: Job, wrong: str | None) -> None:
        number = int(job.folder.name.removeprefix("trial_"))
        if wrong is not None:
            study.tell(number, state=_state("FAIL"))
        elif read_results(job.folder)["stopped"] == PRUNED:
            study.tell(number, state=_state("PRUNED"))
        else:
            study.tell(number, worth(*measured(job.folder)))

    def show(self, study: optuna.Study) -> None:
        """Print the trials, the best options and which labels chose them; write the options to `best.yaml`."""
        own = worth(*measured(self.run))
        rows = [{"trial": str(self.run), "worth": own, "state": "the run's own options"}]
        rows += [{"trial": t.number, "worth": t.value, "state": t.state.name.lower(), **t.params} for t in study.trials]
        table = pd.DataFrame(rows).sort_values("worth", ascending=False, kind="stable")
        print(table.to_string(index=False, na_rep="", float_format="{:.4g}".format))
        if any(trial.state == _state("COMPLETE") for trial in study.trials):
            best = study.best_trial
            config = yaml.safe_load((self.folder / f"trial_{best.number:03d}" / "config.yaml").read_text())
            text = yaml.safe_dump(fragment(config, list(self.space)), sort_keys=False)
            write_atomically(self.folder / BEST, text.encode())
            better = "better" if study.best_value > own else "no better"
            print(f"\n{self.folder / BEST}: trial {best.number}, {better} than the run's own options\n\n{text}")
        print(
            f"labels: the {bought_by(self.run)} of {self.run} chose among {len(study.trials)} trials and none was "
            "bought; the best one's worth is too high for that, so judge it by labels that did not choose"
        )


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
