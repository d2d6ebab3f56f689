"""Any TorchRL environment by the name of the function that makes it, checked and completed."""

from collections.abc import Mapping
from typing import Any

import torch
from torchrl.envs import CatTensors, EnvBase, TransformedEnv
from torchrl.envs.batched_envs import BatchedEnvBase

from ilvf import plugins
from ilvf.envs.check import EnvFacts, check_env
from ilvf.envs.flat import flattened
from ilvf.envs.wrapped import SavedThrough, Several, saves_states
from ilvf.errors import UsageError, require

OBSERVATION = ("agents", "observation")
STATE = ("agents", "state")
SIZES = ("n_agents", "n_actions", "observation_dim", "state_dim", "masked")


def own_env(
    task: str,
    kwargs: Mapping[str, Any],
    horizon: int | None,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: torch.device | str = "cpu",
) -> EnvBase:
    """The environment that `task(num_envs=, seed=, device=, **kwargs)` makes.

    It is checked against docs/guides/your_own_env.md. Where the critics' `state` is missing, the
    observations take its place. Observations that are not flat are flattened, see `flattened`.
    Sizes are set as attributes where they are missing.

    Args:
        task: `package.module:name` of a function or class, or the name of an entry point.
        kwargs: more arguments of it.
        horizon: steps of the longest evaluation; None: the environment's attribute `horizon`.
        num_envs: B.
        seed: of the environment; None draws one from torch's generator.
        device: of its tensors.

    Raises:
        UsageError: it cannot be made, or violates the contract.
    """
    make = plugins.load(plugins.reference_of(task, plugins.ENVIRONMENTS), "env.task")
    number = seed if seed is not None else int(torch.randint(2**31, ()))
    arguments = {**kwargs, "num_envs": num_envs, "seed": number, "device": device}
    env = called(make, arguments, task)
    require(
        isinstance(env, EnvBase),
        f"env.task={task} makes {type(env).__name__}, need a TorchRL environment (EnvBase)",
    )
    env = flattened(Several(env) if isinstance(env, BatchedEnvBase) else env)
    facts = checked(env, task)
    require(
        env.batch_size[0] == num_envs,
        f"env.task={task} makes {env.batch_size[0]} copies, need num_envs={num_envs}",
    )
    completed = with_state(env, facts)
    complete(completed, facts, horizon, task)
    completed.set_seed(number)  # the check has stepped it
    return completed


def called(make: Any, arguments: Mapping[str, Any], task: str) -> Any:
    """What a function returns; what it raises ends in one sentence."""
    require(callable(make), f"env.task={task} is no function; it must return the environment")
    try:
        return make(**arguments)
    except (KeyboardInterrupt, GeneratorExit, UsageError):
        raise
    except BaseException as error:  # environments raise anything
        names = ", ".join(arguments)
        raise UsageError(
            f"env.task={task} cannot be made with {names}: {plugins.in_words(error)}"
        ) from error


def checked(env: EnvBase, task: str) -> EnvFacts:
    """The facts of an environment that satisfies the contract."""
    try:
        return check_env(env)
    except UsageError as error:
        lines = "; ".join(str(error).splitlines())
        raise UsageError(f"env.task={task}: {lines}") from error


def with_state(env: EnvBase, facts: EnvFacts) -> EnvBase:
    """The environment with a state of every agent, which is its observation if it has none."""
    if facts.state_key == "state":
        lost = isinstance(env, TransformedEnv) and not saves_states(env)
        return SavedThrough(env) if lost else env
    copied = CatTensors(in_keys=[OBSERVATION], out_key=STATE, del_keys=False)
    return SavedThrough(env, copied)


def complete(env: EnvBase, facts: EnvFacts, horizon: int | None, task: str) -> None:
    """Set the sizes and the horizon that an environment lacks.

    Raises:
        UsageError: nobody knows how long an episode is.
    """
    for part in ("image", "sets"):
        if facts.state_key == "observation" and not hasattr(env, f"state_{part}"):
            setattr(env, f"state_{part}", getattr(env, f"observation_{part}", None))
    for name in SIZES:
        if not hasattr(env, name):
            setattr(env, name, getattr(facts, name))
    longest = horizon or getattr(env, "horizon", None)
    require(
        isinstance(longest, int) and longest > 0,
        f"env.task={task} does not tell how long an episode is; say env.horizon=, in steps",
    )
    env.horizon = longest
