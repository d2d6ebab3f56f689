"""The program `ilvf`: one subcommand a file of this package, with shell completion by click."""

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from ilvf import __version__
from ilvf.algorithms.options import ALGORITHMS
from ilvf.errors import UsageError, run_recipe
from ilvf.experiment.config import overlays
from ilvf.experiment.options import training_schema
from ilvf.options import nearest, one_line, shown

COMMANDS = {
    "train": "Train an algorithm on an environment.",
    "evaluate": "Evaluate a trained team again, or a rule, and draw an episode.",
    "compare": "Compare runs: curves with confidence bands, and a table.",
    "study": "Run a study, all its algorithms, tasks and seeds, and report on it.",
    "sweep": "Run an algorithm with many values of its keys, and report on the best.",
    "audit": "Measure who moves whose return, against the learned influence.",
    "influence": "Show how influence changes over an episode.",
    "traffic": "Compare trained traffic signals with baselines on the map.",
    "export": "Write a trained team into one file for other programs.",
    "theory": "Check the paper's claims on games that can be solved exactly.",
}


class Refusal(click.ClickException):
    """A wrong command or flag, in one sentence with exit code 2, as `run_recipe` prints it."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", file=file, err=True)


class Program(click.Group):
    """The group of all commands, whose errors are one sentence with the nearest known name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The arguments before the command: flags of the program.

        Raises:
            Refusal: an unknown flag.
        """
        given = next((word for word in args if word.startswith("-")), "")
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            flags = ("--help", "--version")
            raise Refusal(
                f"unknown flag {one_line(given)}; the flags of ilvf are {' and '.join(flags)}, and "
                f"those of a command come after its name{nearest(given, flags)}"
            ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first argument names.

        Raises:
            Refusal: there is none.
        """
        name = args[0]
        if name not in self.commands:
            near = f", did you mean 'train {name}'?" if name in ALGORITHMS else ""
            raise Refusal(
                f"{shown(name)} is no command of ilvf; the commands are {', '.join(COMMANDS)}"
                f"{near or nearest(name, list(COMMANDS))}"
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="ilvf")
@click.pass_context
def main(context: click.Context) -> None:
    """Credit assignment for cooperative multi-agent reinforcement learning.

    Every command takes key=value arguments; COMMAND --help lists them.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def complete(context: click.Context, argument: click.Parameter, incomplete: str) -> list[str]:
    """Algorithms after `train` and `sweep`, studies after `study`, and the keys of the command."""
    words = list(context.params.get("arguments") or ())
    name = context.info_name
    if name == "train" and not words:
        return [word for word in ALGORITHMS if word.startswith(incomplete)]
    if name == "study" and not words:
        return [word for word in overlays("study") if word.startswith(incomplete)]
    try:
        schema = training_schema(words[0]) if name == "train" else module_of(str(name)).SCHEMA
        known = schema.leaves(schema.env)
        if name == "sweep":
            known |= module_of("sweep").keys_of_runs(words)
    except UsageError:
        return []
    first = list(ALGORITHMS) if name == "sweep" and not words else []
    keys = [f"{key}=" for key in known]
    return [key for key in [*first, *keys, "--help", "--cfg"] if key.startswith(incomplete)]


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
