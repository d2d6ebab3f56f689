"""States from which an audit starts: those that a policy visits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.analysis.stepping import (
    State,
    draw_actions,
    episode_steps,
    require_memoryless,
    require_states,
    step_env,
)
from ilvf.errors import require


@torch.no_grad()
def visited_states(env: EnvBase, policy: Any, *, steps: int | None = None, seed: int = 0) -> State:
    """One state per environment, drawn uniformly from the steps of its first episode.

    Reservoir sampling: the state at step t replaces the one kept so far with probability
    1 / (t + 1).

    Args:
        env: K environments with `get_state`.
        policy: see `intervene`.
        steps: longest episode; None is the environment's `horizon`.
        seed: of the actions and of the drawing.

    Returns:
        The entries of `env.get_state()` without "rng", tensors `[K, ...]`.
    """
    require_states(env)
    require_memoryless(policy)
    steps = episode_steps(env, steps)
    noise = torch.Generator(env.device).manual_seed(seed)
    td = env.reset()
    kept: dict[str, Tensor] = {}
    running = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
    for t in range(steps):
        u = torch.rand(env.batch_size, generator=noise, device=env.device)
        replace = running & (u * (t + 1) < 1)
        for key, value in env.get_state().items():
            if key != "rng":
                rows = replace.view(-1, *[1] * (value.ndim - 1))
                kept[key] = torch.where(rows, value, kept.get(key, value))
        action = draw_actions(policy, td, noise)
        _, td = step_env(env, td, action)
        running &= ~td["done"].squeeze(-1)
    return kept


@torch.no_grad()
def states_at(
    env: EnvBase, policy: Any, steps: Sequence[int], *, seed: int = 0
) -> dict[int, State]:
    """The states at given steps of first episodes.

    Args:
        env: environments with `get_state`.
        policy: see `intervene`.
        steps: numbers of steps after the start.
        seed: of the actions.

    Returns:
        Step → state of those environments whose first episode has not ended by then.

    Raises:
        UsageError: no first episode lasts to one of the steps.
    """
    require_memoryless(policy)
    noise = torch.Generator(env.device).manual_seed(seed)
    td = env.reset()
    kept: dict[int, State] = {}
    running = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
    for t in range(max(steps) + 1):
        if t in steps:
            require(
                bool(running.any()),
                f"no episode lasts to step {t}; take an earlier moment, or more episodes",
            )
            kept[t] = {k: v[running] for k, v in env.get_state().items() if k != "rng"}
        action = draw_actions(policy, td, noise)
        out, td = env.step_and_maybe_reset(td.set(("agents", "action"), action))
        running &= ~out["next", "done"].squeeze(-1)
    return kept
