"""The environment that `python -m ilvf.envs.NAME [TASK] [KEY=VALUE ...]` names."""

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from ilvf.envs import make_env
from ilvf.errors import require
from ilvf.options.text import parse_yaml


def shown_env(
    module: ModuleType,
    arguments: Sequence[str] | None = None,
    *,
    task: tuple[str, str] | None = None,
    **defaults: Any,
) -> tuple[Any, str]:
    """Print what the package of an environment says of itself, and make the environment.

    Args:
        module: the package, whose last name is that of the environment.
        arguments: of the command line; None takes those of the program.
        task: (name of the option that the first word means, its default); None if there is none.
        **defaults: of `make_env`.

    Returns:
        The environment, and its task.
    """
    name = module.__name__.rpartition(".")[2]
    parser = argparse.ArgumentParser(
        prog=f"python -m {module.__name__}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if task is not None:
        parser.add_argument("task", nargs="?", default=task[1], help="default: %(default)s")
    parser.add_argument(
        "options", nargs="*", metavar="KEY=VALUE", help=f"options of {name}, such as horizon=50"
    )
    words = list(sys.argv[1:] if arguments is None else arguments)
    has_task = task is not None and bool(words) and "=" not in words[0]
    if task is not None and words and not has_task and "-h" not in words and "--help" not in words:
        words.insert(0, task[1])
    given = parser.parse_args(words)
    options = {**defaults, **options_of(given.options)}
    shown = name
    if task is not None:
        require(
            not has_task or task[0] not in options,
            f"{given.task} and {task[0]}=... name two tasks; leave out one",
        )
        shown = str(options.setdefault(task[0], given.task))
    print(module.__doc__)
    return make_env(name, **options), shown


def options_of(words: Sequence[str]) -> dict[str, Any]:
    """`["kwargs.N=3"]` → `{"kwargs": {"N": 3}}`.

    Raises:
        UsageError: a word is no KEY=VALUE, or its value is no yaml.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        *outer, last = key.split(".")
        well_formed = bool(equals) and all([*outer, last])
        require(well_formed, f"{word!r} is no KEY=VALUE; write an option so, such as horizon=50")
        place = found
        for name in outer:
            place = place.setdefault(name, {})
            require(isinstance(place, dict), f"{word!r}: {name} has a value of its own")
        place[last] = parse_yaml(key, text)
    return found
