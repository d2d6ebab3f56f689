"""Checks of the numbers that PettingZoo environments return, and of the actions they get."""

import numpy as np

from ilvf.envs.pettingzoo.arrays import Arrays
from ilvf.envs.pettingzoo.layout import Layout
from ilvf.errors import UsageError


def require_finite(arrays: Arrays, layout: Layout, length: np.ndarray) -> None:
    """Raise if an observation, state, reward or global state is NaN or infinite.

    Args:
        arrays: of all copies.
        layout: names the agents.
        length: steps of every copy's episode so far, `[B]`.
    """
    for name in ("observation", "state", "reward", "global_state"):
        if name not in arrays or np.isfinite(arrays[name]).all():
            continue
        copy, agent, *_ = np.argwhere(~np.isfinite(arrays[name]))[0]
        whose = "" if name == "global_state" else f" of {layout.names[agent]}"
        raise UsageError(
            f"the {name}{whose} in copy {copy} is NaN or infinite after {int(length[copy])} steps "
            "of an episode; the environment must return finite float32 numbers"
        )


def require_possible_actions(arrays: Arrays, layout: Layout, length: np.ndarray) -> None:
    """Raise if an action mask allows no action in an episode that goes on; see `require_finite`."""
    if "action_mask" not in arrays:
        return
    ended = arrays["terminated"] | arrays["truncated"]
    possible = layout.acting.possible(arrays["action_mask"]) | ended[:, None]  # [B, N]
    if possible.all():
        return
    copy, agent = np.argwhere(~possible)[0]
    raise UsageError(
        f"the action mask of {layout.names[agent]} in copy {copy} allows nothing after "
        f"{int(length[copy])} steps of an episode; every agent needs a possible action, or must end"
    )


def require_actions(action: np.ndarray, counts: np.ndarray, layout: Layout) -> None:
    """Raise unless the environment has these actions; see `require_existing_actions`."""
    if layout.acting.continuous:
        require_actions_within_bounds(action, layout)
    else:
        require_existing_actions(action, counts, layout)


def require_actions_within_bounds(action: np.ndarray, layout: Layout) -> None:
    """Raise if continuous actions are not `[B, N, A]`, NaN, or beyond their bounds in float32."""
    low, high = (bound.astype(np.float32) for bound in layout.acting.bounds())
    if action.shape[1:] != low.shape or action.dtype.kind != "f":
        raise UsageError(
            f"('agents', 'action') has the shape {action.shape} and dtype {action.dtype}, need "
            f"numbers (B, {low.shape[0]}, {low.shape[1]})"
        )
    wrong = ~((low <= action) & (action <= high))
    if not wrong.any():
        return
    copy, agent, component = np.argwhere(wrong)[0]
    raise UsageError(
        f"number {component} of the action of {layout.names[agent]} in copy {copy} is "
        f"{action[copy, agent, component]:g}, need {low[agent, component]:g} to "
        f"{high[agent, component]:g}"
    )


def require_existing_actions(action: np.ndarray, counts: np.ndarray, layout: Layout) -> None:
    """Raise if the actions are no indices, or an agent does not have its action.

    Args:
        action: what a policy chose, `[B, N]`, or `[B, N, D]` of several choices.
        counts: how many choices there are, of the same shape.
        layout: names the agents.
    """
    if action.shape != counts.shape or action.dtype.kind not in "iu":
        raise UsageError(
            f"('agents', 'action') has the shape {action.shape} and dtype {action.dtype}, need "
            f"whole numbers {counts.shape}"
        )
    wrong = (action < 0) | (action >= counts)
    if not wrong.any():
        return
    copy, agent, *component = np.argwhere(wrong)[0]
    hint = ": the policy must read ('agents', 'action_mask')" if layout.masked else ""
    place = (copy, agent, *component)
    chosen = f"action {action[place]} of {layout.names[agent]}"
    if component:
        chosen = f"choice {component[0]} of the {chosen}"
    raise UsageError(f"{chosen}, which has {counts[place]}{hint}")
