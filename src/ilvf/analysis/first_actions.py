"""The first actions among which an audit chooses in every state.

Axes: K states, N agents, C choices of every agent, A numbers of a continuous action.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from ilvf.analysis.paired_rollouts import PairedRollouts
from ilvf.errors import require, require_choice
from ilvf.modules import Box, GaussianActor, actions_of

Alternatives = Literal["policy", "box"]


@dataclass(frozen=True)
class FirstActions:
    """What every agent can choose from in every state.

    Attributes:
        probability: of every choice, `[K, N, C]`.
        action: of every choice, `[K, N, C, A]`; None if a choice is itself a discrete action.
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
    """All discrete actions with the policy's probabilities, or C equally likely continuous ones.

    Args:
        rollouts: of the policy from the audited states.
        alternatives: `policy`: continuous actions are independent draws of the policy in the
            state. `box`: they are spread evenly over the whole box, the same in all states.
        choices: C, of continuous actions, at least 2.

    Raises:
        UsageError: an unknown word, too few choices, or a policy that cannot be audited.
    """
    require_choice("alternatives", alternatives, ("policy", "box"))
    require(choices >= 2, f"choices={choices} must be at least 2")
    box = actions_of(rollouts.env)
    if not isinstance(box, Box):
        return FirstActions(rollouts.policy_at_states())
    name = type(rollouts.policy).__name__
    require(
        isinstance(rollouts.policy, GaussianActor),
        f"the audit of continuous actions needs a GaussianActor, found {name}",
    )
    if alternatives == "policy":
        action = rollouts.draws_at_states(choices)
    else:
        action = spread(box, choices, rollouts.seed).expand(rollouts.count, -1, -1, -1)
    action = action.to(rollouts.env.device)
    return FirstActions(torch.full(action.shape[:3], 1 / choices, device=action.device), action)


def spread(box: Box, number: int, seed: int) -> Tensor:
    """C points of a scrambled Sobol sequence in every agent's box, `[N, C, A]`."""
    unit = SobolEngine(box.width, scramble=True, seed=seed).draw(number)  # [C, A]
    u = (2 * unit - 1).unsqueeze(1).expand(-1, box.n_agents, -1)
    return box.denormalize(u.to(box.low)).transpose(0, 1)
