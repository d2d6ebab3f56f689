"""The first actions among which an audit chooses in every state.

Axes: K states, N agents, C choices of every agent, A numbers of an action (of `MultiChoices`, or
continuous).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from ilvf.analysis.paired_rollouts import PairedRollouts
from ilvf.errors import UsageError, require, require_choice
from ilvf.modules import Box, Choices, actions_of
from ilvf.modules.actors.network import StochasticActor

Alternatives = Literal["policy", "box"]


@dataclass(frozen=True)
class FirstActions:
    """What every agent can choose from in every state.

    Attributes:
        probability: of every choice, `[K, N, C]`.
        action: of every choice, `[K, N, C, A]`; None if a choice is an action of `Choices`.
    """

    probability: Tensor
    action: Tensor | None = None

    def of(self, state: Tensor, choice: Tensor) -> Tensor:
        """The actions that were chosen, `[rows, N]` or `[rows, N, A]`.

        Args:
            state: index of each row's state, `[rows]`.
            choice: of every agent, `[rows, N]`.
        """
        if self.action is None:
            return choice
        agent = torch.arange(choice.shape[1], device=choice.device)
        return self.action[state.to(choice.device).unsqueeze(1), agent, choice]


def first_actions(
    rollouts: PairedRollouts, alternatives: Alternatives, choices: int
) -> FirstActions:
    """All actions of `Choices` with the policy's probabilities, or C equally likely others.

    Args:
        rollouts: of the policy from the audited states.
        alternatives: of a `Box` or `MultiChoices`. `policy`: independent draws of the policy in the
            state. `box`: spread evenly over the whole box, the same in all states.
        choices: C, at least 2, of a `Box` or `MultiChoices`.

    Raises:
        UsageError: an unknown word, too few choices, `box` without a box, or a policy that cannot
            be audited.
    """
    require_choice("alternatives", alternatives, ("policy", "box"))
    require(choices >= 2, f"choices={choices} must be at least 2")
    actions = actions_of(rollouts.env)
    if isinstance(actions, Choices):
        return FirstActions(rollouts.policy_at_states())
    need = "GaussianActor" if isinstance(actions, Box) else "MultiCategoricalActor"
    require(
        isinstance(rollouts.policy, StochasticActor),
        f"the audit of {actions} needs a {need}, found {type(rollouts.policy).__name__}",
    )
    if alternatives == "policy":
        action = rollouts.draws_at_states(choices)
    elif isinstance(actions, Box):
        action = spread(actions, choices, rollouts.seed).expand(rollouts.count, -1, -1, -1)
    else:
        raise UsageError(f"alternatives=box is for a Box; {actions} need alternatives=policy")
    action = action.to(rollouts.env.device)
    return FirstActions(torch.full(action.shape[:3], 1 / choices, device=action.device), action)


def spread(box: Box, number: int, seed: int) -> Tensor:
    """C points of a scrambled Sobol sequence in every agent's box, `[N, C, A]`."""
    unit = SobolEngine(box.width, scramble=True, seed=seed).draw(number)  # [C, A]
    u = (2 * unit - 1).unsqueeze(1).expand(-1, len(box.low), -1)
    return box.denormalize(u.to(box.low)).transpose(0, 1)
