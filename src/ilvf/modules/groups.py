"""Several groups of agents as one team: critics read their states and actions joined.

The agents of the team are those of the first group, then those of the second, and so on.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.errors import require
from ilvf.modules.actions import Actions, Choices
from ilvf.options.words import shown


def group_names(group: str | Sequence[str]) -> tuple[str, ...]:
    """The names of one group or of several.

    Raises:
        UsageError: no name, something that is no name, or a name twice.
    """
    names = (group,) if isinstance(group, str) else group
    known = isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)
    require(
        known and all(names) and len(names) > 0,
        f"group={shown(group)} is empty or no name; give the name of a group of agents, or a list "
        "of names",
    )
    require(len(set(names)) == len(names), f"group={shown(group)} has a name twice; leave one out")
    return tuple(names)


class OfGroups(nn.Module):
    """A critic of a team that reads the states of its groups and writes their values.

    Args:
        critic: a `Critic` for the agents of all groups.
    """

    def __init__(self, critic: nn.Module):
        super().__init__()
        self.critic = critic

    def forward(self, *states: Tensor) -> tuple[Tensor, ...]:
        """States `[*B, n, D]` of every group → values `[*B, n, 1]`, and the rest of the team."""
        _, width = self.critic.sizes  # type: ignore[misc]
        found = self.critic(joined_states(states, width))
        value, *rest = found if isinstance(found, tuple) else (found,)
        sizes = [state.shape[-2] for state in states]
        return *value.split(sizes, -2), *rest


def joined_states(states: Sequence[Tensor], width: int) -> Tensor:
    """The states of all groups, `[*B, n, D]` each, as `[*B, N, width]`, padded with zeros.

    Raises:
        UsageError: a group's states have more numbers than `width`.
    """
    wide = []
    for state in states:
        missing = width - state.shape[-1]
        require(
            missing >= 0,
            f"the critic was built for states of {width} numbers, a group has states of "
            f"{state.shape[-1]}; build it for the widest group",
        )
        wide.append(F.pad(state, (0, missing)))
    return torch.cat(wide, -2)


def joined_actions(actions: Sequence[Tensor], states: Sequence[Tensor], kind: Actions) -> Tensor:
    """The actions of all groups as one team's: one-hot `[*B, N, A]`, or `[*B, N, *event]`.

    Indices of `MultiChoices` and numbers of a `Box` are padded with zeros.

    Args:
        actions: of every group, indices `[*B, n]` or vectors `[*B, n, a]`, a ≤ A.
        states: of every group, `[*B, n, D]`.
        kind: what the agents of the team can do.
    """
    wide = []
    single = isinstance(kind, Choices)
    width = kind.width if single else kind.event[0]
    for action, state in zip(actions, states, strict=True):
        if action.ndim == state.ndim:
            action = F.pad(action, (0, max(width - action.shape[-1], 0)))
        if single:
            action = kind.encode(action, state)
        wanted = (*state.shape[:-1], width)
        require(
            tuple(action.shape) == wanted,
            f"the action of a group has shape {tuple(action.shape)}, need {wanted}",
        )
        wide.append(action)
    return torch.cat(wide, -2)
