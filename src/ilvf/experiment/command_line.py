"""The command line of recipes and of `ilvf`: `key=value`, `--help`, `--cfg`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from ilvf.envs.options import ENVIRONMENTS, expanded
from ilvf.errors import require
from ilvf.experiment.config import Config, environment_of, overlays, resolve, split
from ilvf.experiment.schema import Leaf, Schema
from ilvf.experiment.variables import require_variables
from ilvf.options import nearest, one_line
from ilvf.plugins import ENVIRONMENTS as PLUGINS
from ilvf.plugins import registered

HELP = ("--help", "-h")
SHOW = "--cfg"
MAIN = Path(__file__).parents[1] / "__main__.py"  # what `python -m ilvf` runs


def command_line(schema: Schema, arguments: Sequence[str] | None = None) -> Config:
    """The resolved config for `arguments` (default: the process's); answers `--help` and `--cfg`.

    Raises:
        UsageError: see `resolve`; or an environment variable of a launcher is wrong.
        SystemExit: after `--help` or `--cfg`.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    flags = {word for word in words if word.startswith("-")}
    known = (*HELP, SHOW)
    unknown = sorted(flags - set(known))
    require(
        not unknown,
        f"unknown flag {one_line(' '.join(unknown))}; the flags are --help and --cfg, all else is "
        f"key=value{nearest(' '.join(unknown), known)}",
    )
    pairs = [word for word in words if word not in flags]
    if flags & set(HELP):
        print(help_page(schema, pairs))
        raise SystemExit(0)
    require_variables()
    config = resolve(schema, pairs)
    if SHOW in flags:
        print(OmegaConf.to_yaml(config), end="")
        raise SystemExit(0)
    return config


def help_page(schema: Schema, arguments: Sequence[str] = ()) -> str:
    """Every key with its default and meaning; the keys of `env=NAME` if `arguments` names one."""
    given = expanded(dict(split(argument) for argument in arguments))
    env, _ = environment_of(given.get("env", schema.env))
    leaves = schema.leaves(env)
    rows = [(f"env={env}", environments_line())] if env is not None else []
    rows += [
        (f"{key}={default_text(leaf)}", leaf.metadata["meaning"]) for key, leaf in leaves.items()
    ]
    width = min(max(len(left) for left, _ in rows), 44)
    lines = [schema.doc.strip(), "", "Every argument is key=value:", ""]
    section = ""
    for left, meaning in rows:
        found = left.partition("=")[0].rpartition(".")[0]
        if found != section:
            lines.append("")
            section = found
        lines.append(f"  {left:<{width}}  {meaning}")
    if "preset" in leaves:
        lines += ["", f"presets: {', '.join(overlays('preset'))}, or a yaml file."]
    lines += ["", "--cfg prints the resolved config without running; --help this page."]
    return "\n".join(lines)


def environments_line() -> str:
    """The environments, for `--help`."""
    names = [*ENVIRONMENTS, *overlays("env"), *registered(PLUGINS)]
    return (
        f"the environment: {', '.join(names)}, a yaml file, or package.module:function; "
        "its keys are env.*"
    )


def default_text(leaf: Leaf) -> str:
    """A default as the command line would have it."""
    if leaf.default is None:
        return ""
    if isinstance(leaf.default, bool):
        return str(leaf.default).lower()
    return str(leaf.default)


def program_words() -> list[str]:
    """The words that start the program `ilvf` with this interpreter."""
    return [sys.executable, "-m", "ilvf"]


def words_of_process() -> list[str]:
    """How this process was called, for other processes that do the same."""
    if Path(sys.argv[0]) == MAIN:
        return [*program_words(), *sys.argv[1:]]
    return [sys.executable, *sys.argv]


def invocation(command: Sequence[str]) -> list[str]:
    """The words of a command without its flags and `key=value`; to print what to call next."""
    return [word for word in command if "=" not in word and (word == "-m" or word[:1] != "-")]
