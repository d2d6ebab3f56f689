"""Checks of the numbers that PettingZoo environments return, and of the actions they get."""

import numpy as np

from ilvf.envs.pettingzoo.arrays import Arrays
from ilvf.envs.pettingzoo.layout import Layout
from ilvf.errors import UsageError


def require_finite(arrays: Arrays, layout: Layout, length: np.ndarray) -> None:
    """Raise if an observation, state or reward is NaN or infinite.

    Args:
        arrays: of all copies.
        layout: names the agents.
        length: steps of every copy's episode so far, `[B]`.
    """
    for name in ("observation", "state", "reward"):
        if name not in arrays or np.isfinite(arrays[name]).all():
            continue
        copy, agent, *_ = np.argwhere(~np.isfinite(arrays[name]))[0]
        raise UsageError(
            f"the {name} of {layout.names[agent]} in copy {copy} is NaN or infinite after "
            f"{int(length[copy])} steps of an episode"
        )


def require_possible_actions(arrays: Arrays, layout: Layout, length: np.ndarray) -> None:
    """Raise if an action mask allows no action in an episode that goes on; see `require_finite`."""
    if "action_mask" not in arrays:
        return
    ended = arrays["terminated"] | arrays["truncated"]
    possible = arrays["action_mask"].any(-1) | ended[:, None]  # [B, N]
    if possible.all():
        return
    copy, agent = np.argwhere(~possible)[0]
    raise UsageError(
        f"the action mask of {layout.names[agent]} in copy {copy} allows nothing after "
        f"{int(length[copy])} steps of an episode"
    )


def require_existing_actions(action: np.ndarray, layout: Layout) -> None:
    """Raise if an agent gets an action `[B, N]` that it does not have."""
    sizes = np.array([agent.actions for agent in layout.agents])
    if (action < sizes).all():
        return
    copy, agent = np.argwhere(action >= sizes)[0]
    raise UsageError(
        f"action {action[copy, agent]} of {layout.names[agent]}, which has {sizes[agent]}: the "
        "policy must read ('agents', 'action_mask')"
    )
