"""The program `ilvf`: one subcommand a file of this package, with shell completion by click."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ilvf import __version__
from ilvf.algorithms.options import ALGORITHMS
from ilvf.errors import UsageError, run_recipe
from ilvf.experiment.options import training_schema

COMMANDS = {
    "train": "Train an algorithm on an environment.",
    "evaluate": "Evaluate a trained team again, or a rule, and draw an episode.",
    "compare": "Compare runs: curves with confidence bands, and a table.",
    "audit": "Measure who moves whose return, against the learned influence.",
    "influence": "Show how influence changes over an episode.",
    "traffic": "Compare trained traffic signals with baselines on the map.",
    "theory": "Check the paper's claims on games that can be solved exactly.",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ilvf")
def main() -> None:
    """Credit assignment for cooperative multi-agent reinforcement learning.

    Every command takes key=value arguments; COMMAND --help lists them.
    """


def complete(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    """Algorithms after `ilvf train`, and the keys of the command."""
    words = list(context.params.get("arguments") or ())
    name = context.info_name
    if name == "train" and not words:
        return [word for word in ALGORITHMS if word.startswith(incomplete)]
    try:
        schema = training_schema(words[0]) if name == "train" else module_of(str(name)).SCHEMA
    except UsageError:
        return []
    keys = [f"{key}=" for key in schema.leaves(schema.env)]
    return [key for key in [*keys, "--help", "--cfg"] if key.startswith(incomplete)]


def module_of(name: str) -> Any:
    """The module of a command."""
    return importlib.import_module(f"ilvf.commands.{name}")


def subcommand(name: str, summary: str) -> click.Command:
    """`ilvf NAME`: hands its arguments, unparsed, to `main` of the command's module."""

    def run(arguments: Sequence[str]) -> None:
        call: Callable[[Sequence[str]], object] = module_of(name).main
        run_recipe(lambda: call(list(arguments)))

    return click.Command(
        name,
        callback=run,
        help=summary,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True},
        params=[
            click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED, shell_complete=complete)
        ],
    )


for _name, _summary in COMMANDS.items():
    main.add_command(subcommand(_name, _summary))


if __name__ == "__main__":
    sys.exit(main())
