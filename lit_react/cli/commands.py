"""Commands beside Lightning's: each is a function, and its arguments are its options."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from importlib import import_module

from lit_react.cli.one_line import OneLineParser
from lit_react.core.errors import UserError
from lit_react.core.launch import started


@dataclass(frozen=True)
class Command:
    """Where a command's function is, so that it is imported when it is used.

    Args:
        function: `module:name`; its keyword-only arguments are options, others without default are positional.
        summary: for the list of commands.
        alone: whether one process runs it, never several that torchrun or srun started.
    """

    function: str
    summary: str
    alone: bool = True


COMMANDS = {
    "answer": Command("lit_react.cli.answer:answer", "Answer customers' questions from an FAQ, on a page to chat."),
    "compare": Command("lit_react.experiments.grid:compare", "Run strategies x data sets x seeds, a fit for each."),
    "labels": Command("lit_react.cli.labels:labels", "Write the bought labels of a run: CSV, JSON lines, Parquet, …"),
    "monitor": Command("lit_react.cli.monitor:monitor", "Count a stream by topic and sentiment, tell negative surges."),
    "pretrain": Command(
        "lit_react.pretraining.pretrain:pretrain", "Pretrain an encoder on texts without labels.", alone=False
    ),
    "recommend": Command(
        "lit_react.applications.recommendation:recommend", "Recommend items by their texts and by what people liked."
    ),
    "report": Command(
        "lit_react.experiments.report:report", "Tables, figures and significance of a comparison's runs."
    ),
    "serve": Command("lit_react.cli.serve:serve", "Answer requests by the model of a run, over HTTP."),
    "simulate": Command("lit_react.simulation.simulate:simulate", "Train the acquisition policy in simulation."),
    "tune": Command("lit_react.experiments.tune:tune", "Search options of a fit by the labels that a run has bought."),
}
"""Those beside Lightning's, by name."""
LABEL = ("fit", "--rounds.oracle", "Page")
"""What the command `label` is short for; options win over it, configurations do not."""
SUMMARIES = {"label": "`fit` whose labels people give in a browser.", **{n: c.summary for n, c in COMMANDS.items()}}
"""What each command beside Lightning's does."""
LIGHTNING = ("fit", "validate", "test", "predict")


def run_command(name: str, words: list[str]) -> None:
    """Parse the words after the command's name, which may begin with `--config FILE`, and call the function."""
    if COMMANDS[name].alone and (processes := (started() or (1, 1))[1]) > 1:
        raise UserError(f"{name}: {processes} processes were started from outside, and it is of one: start it once")
    module, function_name = COMMANDS[name].function.split(":")
    function = getattr(import_module(module), function_name)
    description = (inspect.getdoc(function) or "").partition("\n\nArgs:")[0]
    parser = OneLineParser(prog=f"lit_react {name}", description=description)
    parser.add_argument("--config", action="config", help="YAML file of options; several are merged in their order.")
    positional = any(p.kind is p.POSITIONAL_OR_KEYWORD for p in inspect.signature(function).parameters.values())
    parser.add_function_arguments(function, as_positional=positional)
    options = parser.instantiate(parser.parse_args(words)).as_dict()
    del options["config"]
    function(**options)
