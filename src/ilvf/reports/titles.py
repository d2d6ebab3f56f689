"""What pictures say about the run that they show."""

from collections.abc import Mapping
from typing import Any

from ilvf.algorithms.options import config_of

KINDS = ("task", "scenario", "game")  # options that tell the tasks of an environment apart


def run_title(config: Mapping[str, Any], env: Mapping[str, Any] | None = None) -> str:
    """`ILVF-P on encircle, n=20, seed 0`.

    Args:
        config: of the run.
        env: options of the environment that is shown, by default the run's.
    """
    return f"{policy_title(config)} on {task_title(env or config['env'])}, seed {config['seed']}"


def policy_title(config: Mapping[str, Any]) -> str:
    """The algorithm's title; VDN is QMIX with another mixer, ILVF-P may have no score test."""
    recipe = config["recipe"]
    options = config["algorithm"]
    name = options.get("mixer", recipe)
    title = config_of(recipe).title if name == recipe else name.upper()
    untaught = options.get("influence") == "learned" and options.get("supervision") == 0
    return f"{title} (unsupervised)" if untaught else title


def task_title(env: Mapping[str, Any]) -> str:
    """The environment, which of its tasks it is, and the number of agents, as far as it is said."""
    kinds = [str(env[kind]) for kind in KINDS if env.get(kind)]
    name = kinds[0] if env.get("task") else " ".join([str(env["name"]), *kinds])
    return f"{name}, n={env['n_agents']}" if "n_agents" in env else name


def counted(number: int, word: str) -> str:
    """`1 episode`, `2 episodes`."""
    return f"{number} {word}{'s' if number != 1 else ''}"
