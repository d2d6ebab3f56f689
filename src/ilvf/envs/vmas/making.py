"""Make a VMAS scenario, and see whether its copies are independent."""

import inspect
import warnings
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ilvf.envs.options import VmasOptions
from ilvf.envs.pettingzoo.faults import call, described, in_words
from ilvf.envs.vmas.contents import Contents, contents
from ilvf.envs.vmas.random_numbers import random_numbers
from ilvf.errors import UsageError, require
from ilvf.options import nearest

INSTALL = 'pip install "ilvf[vmas]"'
TRIALS = 10  # resets that show whether a scenario keeps something outside its batch
COPIES = 2  # of the scenario that is tried
ROW = "one row per copy"
ELSEWHERE = "take another scenario, or VmasEnv of TorchRL in a script of your own"

_ROWS: dict[tuple[str, str], frozenset[str]] = {}  # scenario and arguments → its names


def require_vmas(options: VmasOptions | None = None) -> None:
    """Raise unless VMAS is installed."""
    try:
        import vmas  # noqa: F401
    except ImportError as error:
        raise UsageError(f"env=vmas needs the package vmas: {INSTALL} ({error})") from error


def make_scenario(
    task: str, kwargs: Mapping[str, Any], num_envs: int, device: torch.device | str
) -> Any:
    """VMAS's environment of a scenario, with discrete actions and without a time limit.

    Raises:
        UsageError: the scenario is unknown, does not take the arguments, or fails.
    """
    import vmas

    known = sorted([*vmas.scenarios, *vmas.mpe_scenarios])
    require(
        task in known,
        f"task={task!r} is no scenario of VMAS; choose one of {', '.join(known)}"
        f"{nearest(task, known)}",
    )
    taken = [name for name in kwargs if name in inspect.signature(vmas.make_env).parameters]
    require(
        not taken,
        f"kwargs has {', '.join(taken)}, which is no argument of a scenario; leave it out "
        "(the length of an episode is horizon)",
    )
    common = dict(num_envs=num_envs, device=device, continuous_actions=False)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Scenario kwargs")
            return vmas.make_env(task, **common, **kwargs)
    except Exception as error:  # scenarios raise anything
        raise UsageError(
            f"task={task} cannot be made with kwargs={dict(kwargs)!s:.200}: {in_words(error)}"
        ) from error


def root_of(env: Any) -> SimpleNamespace:
    """Where everything begins that an environment of VMAS keeps."""
    return SimpleNamespace(world=env.world, scenario=env.scenario)


# ---------------------------------------------------------------------- rows
def names_of_rows(task: str, kwargs: Mapping[str, Any]) -> frozenset[str]:
    """Names of the tensors `[B, ...]` of a scenario, which are all that its episodes change.

    A scenario with few copies is played to see it, once for the same arguments.

    Raises:
        UsageError: VMAS is not installed; the scenario cannot be made, observes something other
            than rows of numbers, or changes something that is no tensor `[B, ...]`.
    """
    require_vmas()
    key = (task, repr(sorted(kwargs.items())))
    if key not in _ROWS:
        rng = torch.Generator()
        with random_numbers(rng):
            few = make_scenario(task, kwargs, COPIES, "cpu")
            more = make_scenario(task, kwargs, COPIES + 1, "cpu")
        _ROWS[key] = call(f"task={task}", _tried, few, more, rng, task)
    return _ROWS[key]


def _tried(few: Any, more: Any, rng: torch.Generator, task: str) -> frozenset[str]:
    for i, observed in enumerate(_play(more, rng)):
        require(
            isinstance(observed, Tensor) and observed.ndim == 2,
            f"task={task}: agent {i} observes {described(observed)}, need one row of numbers",
        )
    shared = _kept(more)
    before = _require_separate_copies(few, rng, task)
    return frozenset(name for name, x in before.items() if x is ROW and shared.get(name) is ROW)


def _play(env: Any, rng: torch.Generator) -> list[Any]:
    """Observations after a reset, and one random step."""
    with random_numbers(rng):
        observations = env.reset()
        env.step(env.get_random_actions())
    return observations


def _require_separate_copies(env: Any, rng: torch.Generator, task: str) -> dict[str, Any]:
    """What an environment keeps, of which resets and steps must change nothing but rows."""
    before: dict[str, Any] = {}
    for _ in range(TRIALS):
        _play(env, rng)
        after = _kept(env)
        _require_none(_differences(before, after) if before else [], task)
        before = after
    with random_numbers(rng):
        env.reset()
    left = _kept(env)
    _require_none([name for name in before if name not in left], task)
    return before


def _require_none(changed: list[str], task: str) -> None:
    require(
        not changed,
        f"task={task} keeps {changed[0] if changed else ''} for all copies at once, so they "
        f"cannot begin episodes one by one; {ELSEWHERE}",
    )


def _kept(env: Any) -> dict[str, Any]:
    """Name → what an environment keeps, with `ROW` for every tensor `[B, ...]`."""
    found: Contents = contents(root_of(env))
    kept = {name: value for name, (_, value) in found.items()}
    for name, value in kept.items():
        if isinstance(value, Tensor) and value.shape[:1] == (env.num_envs,):
            kept[name] = ROW
    return kept


def _differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = [*after, *(name for name in before if name not in after)]
    return [name for name in names if not _same(before.get(name), after.get(name))]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other
