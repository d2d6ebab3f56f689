"""Make a PettingZoo parallel environment from the name of its module or function.

Imports no torch.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from pettingzoo import AECEnv, ParallelEnv

from ilvf.envs.pettingzoo.layout import first_line
from ilvf.errors import UsageError, require

REQUIRED = ("possible_agents", "observation_space", "action_space", "reset", "step")
DEFAULT_FUNCTION = "parallel_env"


def make_parallel(task: str | Callable[..., Any], kwargs: Mapping[str, Any]) -> ParallelEnv:
    """One PettingZoo parallel environment.

    Args:
        task: `package.module`, whose `parallel_env` is called, `package.module:function`, or a
            function.
        kwargs: arguments of the function.

    Raises:
        UsageError: the function cannot be found or called, or does not make a parallel environment.
    """
    function = find_function(task) if isinstance(task, str) else task
    require(
        callable(function),
        f"{function} is no function; give one that makes the environment, lambda: env",
    )
    try:
        env = function(**kwargs)
    except TypeError as error:
        raise UsageError(
            f"{task} cannot be made with kwargs={dict(kwargs)}: {first_line(error)}"
        ) from error
    require(
        not isinstance(env, AECEnv),
        f"{task} makes a turn-based AECEnv, need a ParallelEnv; pettingzoo.utils.aec_to_parallel "
        "converts some",
    )
    missing = [name for name in REQUIRED if not hasattr(env, name)]
    require(
        not missing,
        f"{task} makes a {type(env).__name__} without {', '.join(missing)}; need a PettingZoo "
        "ParallelEnv",
    )
    return env


def find_function(task: str) -> Callable[..., Any]:
    """The function that `package.module` or `package.module:function` names."""
    module, _, function = task.partition(":")
    function = function or DEFAULT_FUNCTION
    try:
        found = importlib.import_module(module)
    except ImportError as error:
        raise UsageError(_import_problem(task, module, error)) from error
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"task={task!r} is no module; write package.module, or package.module:function"
        ) from error
    require(
        hasattr(found, function),
        f"{module} has no {function}; write package.module, or package.module:function",
    )
    return getattr(found, function)


def _import_problem(task: str, module: str, error: ImportError) -> str:
    """What to say about a module that cannot be imported."""
    package = module.partition(".")[0]
    missing = (error.name or module).partition(".")[0]
    if missing == package and importlib.util.find_spec(package) is not None:
        return f"there is no {error.name} in the package {package} ({first_line(error)})"
    hint = f"pip install {missing}, or set PYTHONPATH"
    if missing == "mpe2":
        hint = 'pip install "ilvf[mpe]"'
    return f"{task} needs the package {missing}, which is not installed: {hint}"
