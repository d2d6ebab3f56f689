"""Shared by the tests of environments: recorded episodes, random play, graphs, examples."""

import functools
import importlib.util
import sys
from types import ModuleType

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from helpers import ROOT
from ilvf.modules import Box, actions_of

REFERENCE = ROOT / "tests" / "reference"


def recordings(pattern: str) -> list[str]:
    """Names of the recorded episodes that match a pattern, such as `cacc_*`."""
    return sorted(path.stem for path in REFERENCE.glob(f"{pattern}.npz"))


def recording(name: str) -> dict[str, np.ndarray]:
    """All arrays of a recorded episode."""
    with np.load(REFERENCE / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def play_random(env: EnvBase, steps: int = 12, seed: int = 5) -> TensorDictBase:
    """A rollout `[B, steps]` of random actions that are the same in all B environments."""
    n_envs = env.batch_size[0]
    rng = torch.Generator().manual_seed(seed)
    possible = actions_of(env)
    if isinstance(possible, Box):
        u = torch.empty(steps, *possible.low.shape).uniform_(-1, 1, generator=rng)
        actions = possible.denormalize(u)
    else:
        actions = torch.randint(env.n_actions, (steps, env.n_agents), generator=rng)
    return play(env, [action.expand(n_envs, *action.shape) for action in actions])


def play(env: EnvBase, actions: list[Tensor]) -> TensorDictBase:
    """A rollout `[B, T]` from a reset, with the actions `[B, N]` of each step."""
    td = env.reset()
    steps = []
    for action in actions:
        td.set(("agents", "action"), action)
        step, td = env.step_and_maybe_reset(td)
        steps.append(step)
    return torch.stack(steps, 1)


def start_in(env: EnvBase, world: dict[str, Tensor]) -> TensorDictBase:
    """The first tensordict of an episode that starts in `world`."""
    env.set_state({**world, "rng": env.rng.get_state()})
    return env.reset()


def rows_of(graph: Tensor) -> list[list[int]]:
    """Columns that are True in each row of a boolean matrix."""
    return [row.nonzero().flatten().tolist() for row in graph]


@functools.cache
def example(name: str) -> ModuleType:
    """The module `examples/NAME.py`."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def vmas_navigation(
    num_envs: int,
    seed: int = 0,
    device: torch.device | str = "cpu",
    *,
    continuous_actions: bool = False,
    max_steps: int | None = None,
) -> EnvBase:
    """VMAS as it is: three agents that navigate."""
    from torchrl.envs.libs.vmas import VmasEnv

    return VmasEnv(
        "navigation",
        num_envs=num_envs,
        continuous_actions=continuous_actions,
        n_agents=3,
        max_steps=max_steps,
        seed=seed,
        device=device,
    )
