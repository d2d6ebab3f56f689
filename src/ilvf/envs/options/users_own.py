"""Environments of a user: `env=package.module:function`, or a registered name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ilvf.envs.options.registry import ENVIRONMENTS, environment
from ilvf.errors import require
from ilvf.options import Options, option
from ilvf.plugins import ENVIRONMENTS as PLUGINS
from ilvf.plugins import is_reference, registered

OWN = "torchrl"


def is_registered_task(task: object) -> bool:
    """Is this the name of an entry point, or what one refers to?"""
    known = registered(PLUGINS)
    return task in known or task in known.values()


@environment(OWN, "ilvf.envs.own:own_env")
@dataclass
class OwnOptions(Options):
    """Any TorchRL environment; env=package.module:function is short for it."""

    task: str = option(
        "",
        "package.module:function, called with num_envs, seed and device, or a registered name",
        confirm="imports code",
        harmless=is_registered_task,
    )
    kwargs: dict[str, Any] = option({}, "more arguments of the function: env.kwargs.rooms=6")
    horizon: int | None = option(
        None, "steps of the longest evaluation; null: the environment's own horizon", least=1
    )


def expanded(given: Mapping[str, str]) -> dict[str, str]:
    """Arguments in which `env=package.module:function`, or a registered name, is `env=torchrl`.

    Args:
        given: key → text of a command line; no file may name code in this way.

    Raises:
        UsageError: `env.task` is given too.
    """
    word = given.get("env", "")
    if word in ENVIRONMENTS or not (is_reference(word) or word in registered(PLUGINS)):
        return dict(given)
    require(
        given.get("env.task", word) == word,
        f"env={word} and env.task={given.get('env.task')} are different tasks; leave out one",
    )
    return {**given, "env": OWN, "env.task": word}
