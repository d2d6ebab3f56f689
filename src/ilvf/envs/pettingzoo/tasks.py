"""Make a PettingZoo parallel environment from the name of its module or function.

Imports no torch.
"""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pettingzoo import AECEnv, ParallelEnv

from ilvf.envs.options import PettingZooOptions
from ilvf.envs.pettingzoo.faults import PASSED, described, in_words
from ilvf.errors import UsageError, require

DEFAULT_FUNCTION = "parallel_env"
EXTRAS = {  # package → what brings it
    "mpe2": "mpe",
    "lbforaging": "lbf",
    "rware": "rware",
    "gymnasium_robotics": "mamujoco",
    "mujoco": "mamujoco",
}
FORMS = "write package.module, or package.module:function"
PARALLEL_HINT = (
    "name the parallel_env of its module, or convert it by pettingzoo.utils.aec_to_parallel"
)


def make_parallel(task: str | Callable[..., Any], kwargs: Mapping[str, Any]) -> ParallelEnv:
    """One PettingZoo parallel environment.

    Args:
        task: `package.module`, whose `parallel_env` is called, `package.module:function`, or a
            function. A class must be a `ParallelEnv`; functions of Python itself are not called.
        kwargs: arguments of the function.

    Raises:
        UsageError: the function cannot be found or called, or does not make a parallel environment.
    """
    function = find_function(task) if isinstance(task, str) else task
    name = name_of(task)
    _require_maker(function, name)
    env = _call(function, kwargs, name)
    _require_parallel(env, name)
    return env


def name_of(task: str | Callable[..., Any]) -> str:
    """A task in messages."""
    if isinstance(task, str):
        return task
    return getattr(task, "__qualname__", getattr(task, "name", described(task)))


def require_task(options: PettingZooOptions) -> None:
    """Raise unless this machine has the package of a task."""
    find_function(options.task)


# ---------------------------------------------------------------------- the function
def find_function(task: str) -> Callable[..., Any]:
    """The function that `package.module` or `package.module:function` names."""
    module, _, function = task.partition(":")
    function = function or DEFAULT_FUNCTION
    found = imported(module, task)
    with _import_faults(module, task):
        exists = hasattr(found, function)
    hint = "; its env is turn-based" if hasattr(found, "env") else ""
    require(exists, f"{module} has no {function}{hint}; {FORMS}")
    return getattr(found, function)


def imported(module: str, task: str, forms: str = FORMS) -> types.ModuleType:
    """The module of a task.

    Args:
        module: its name.
        task: the whole task, for messages.
        forms: what a task can look like, for messages.

    Raises:
        UsageError: it is no module, one of Python's own, or it cannot be imported.
    """
    well_formed = all(part.isidentifier() for part in module.split("."))
    require(well_formed, f"task={task!r} is no module; {forms}")
    _require_foreign(module, task, forms)
    with _import_faults(module, task):
        return importlib.import_module(module)


@contextlib.contextmanager
def _import_faults(module: str, task: str) -> Iterator[None]:
    """Turn what a module raises while it is imported into a sentence."""
    try:
        yield
    except PASSED:
        raise
    except ImportError as error:
        raise UsageError(_import_problem(task, module, error)) from error
    except BaseException as error:  # modules raise anything while they are imported
        traceback.print_exc()
        raise UsageError(f"{module} cannot be imported: {in_words(error)}") from error


def _require_foreign(module: str | None, task: str, forms: str = FORMS) -> None:
    """Raise if a module is a part of Python itself."""
    package = (module or "").partition(".")[0]
    require(
        package not in sys.stdlib_module_names,
        f"task={task!r} is of Python's own module {package}, which makes no environments; {forms}",
    )


def _require_maker(function: Any, name: str) -> None:
    """Raise if calling `function` cannot make a parallel environment, before it is called."""
    require(
        callable(function),
        f"{name} is {described(function)} and no function; give one that makes the environment, "
        "lambda: env",
    )
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    if isinstance(inner, type):
        require(
            not issubclass(inner, AECEnv),
            f"{name} is a turn-based AECEnv, need a ParallelEnv; {PARALLEL_HINT}",
        )
        require(
            issubclass(inner, ParallelEnv),
            f"{name} is the class {inner.__name__}, which is no PettingZoo ParallelEnv",
        )
        return
    require(
        not isinstance(inner, types.BuiltinFunctionType),
        f"{name} is a builtin function, which makes no environments; {FORMS}",
    )
    _require_foreign(getattr(inner, "__module__", None), name)


def _call(function: Callable[..., Any], kwargs: Mapping[str, Any], name: str) -> Any:
    """The environment that `function` makes."""
    try:
        return function(**kwargs)
    except PASSED:
        raise
    except BaseException as error:  # environments raise anything
        raised_inside = error.__traceback__ is None or error.__traceback__.tb_next is not None
        if raised_inside:
            traceback.print_exc()
        raise UsageError(
            f"{name} cannot be made with kwargs={dict(kwargs)!s:.200}: {in_words(error)}"
        ) from error


def _import_problem(task: str, module: str, error: ImportError) -> str:
    """What to say about a module that cannot be imported."""
    package = module.partition(".")[0]
    missing = (error.name or module).partition(".")[0]
    if missing == package and importlib.util.find_spec(package) is not None:
        return f"there is no {error.name} in the package {package} ({in_words(error)})"
    hint = f"pip install {missing}, or set PYTHONPATH"
    if missing in EXTRAS:
        hint = f'pip install "ilvf[{EXTRAS[missing]}]"'
    return f"{task} needs the package {missing}, which is not installed: {hint}"


# ---------------------------------------------------------------------- the environment
def _require_parallel(env: Any, name: str) -> None:
    """Raise if what was made is no parallel environment that can be seeded."""
    require(
        not isinstance(env, AECEnv),
        f"{name} makes a turn-based AECEnv, need a ParallelEnv; {PARALLEL_HINT}",
    )
    require(
        isinstance(env, ParallelEnv),
        f"{name} makes {described(env)}, need a PettingZoo ParallelEnv",
    )
    require(
        _takes_seed(env.reset),
        f"{name} makes a {type(env).__name__} whose reset takes no seed; declare "
        "reset(self, seed=None, options=None)",
    )


def _takes_seed(reset: Callable[..., Any]) -> bool:
    """Whether `reset(seed=0)` is possible; True if that cannot be seen."""
    try:
        parameters = inspect.signature(reset).parameters.values()
    except (TypeError, ValueError):
        return True
    return any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in parameters)
