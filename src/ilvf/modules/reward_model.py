"""`RewardModel`: the team's reward as a sum of parts, one for each agent."""

from typing import Any

import torch
from torch import Tensor, nn

from ilvf.modules.actions import Actions, as_actions
from ilvf.modules.agent_nets import AgentMLP, agents_last, input_normalizer, state_rows
from ilvf.modules.options import MLPOptions, NetworkOptions
from ilvf.modules.value_norm import ValueNorm
from ilvf.options import configure, select
from ilvf.options.arguments import require_sizes


class RewardModel(nn.Module):
    """The parts of a team's reward R that are each agent's, learned from R alone.

        R ≈ Σ_j r̂_j(o_j, a_j),   r̂_j = m / N + σ f_j(LN(o_j), a_j)
        r_j = r̂_j + (R − Σ_k r̂_k) / N,   so that  Σ_j r_j = R

    m and σ are running moments of R, and f_j is regressed by `loss`. What the model does not
    explain is shared equally. With r_j in place of the reward, influence has returns to tell apart.
    Sums of local rewards are those of Guestrin et al. (2001), learned as Sunehag et al. (2018)
    learn a sum of values. It is not in the paper, which names a single team reward as future work.

    A team's reward that is not a sum of local parts, such as one for an action that two agents must
    take together, is fitted by the nearest sum.

    Args:
        n_agents, observation_dim: N and Do of `("agents", "observation")`.
        actions: A, the number of choices, or what else agents can do.
        **options: see `NetworkOptions`.
    """

    def __init__(self, n_agents: int, observation_dim: int, actions: int | Actions, **options: Any):
        super().__init__()
        require_sizes("RewardModel", n_agents=n_agents, observation_dim=observation_dim)
        network = configure(NetworkOptions, options, "RewardModel")
        self.sizes = (n_agents, observation_dim)
        self.actions = as_actions(actions, "RewardModel", n_agents)
        self.normalize = input_normalizer(network.input_norm)
        width = observation_dim + self.actions.width
        self.net = AgentMLP(n_agents, width, 1, head_gain=0.01, **select(network, MLPOptions))
        self.moments = ValueNorm((1, 1))

    def forward(self, observation: Tensor, action: Tensor, living: Tensor | None = None) -> Tensor:
        """f `[*B, N, 1]`, in units of σ; 0 for dead agents.

        Args:
            observation: `[*B, N, Do]`.
            action: see `Actions.encode`.
            living: bool `[*B, N, 1]`, or None if all agents live.
        """
        if living is not None:
            observation = observation.masked_fill(~living, 0)  # it can be anything, also NaN
        rows = self.normalize(state_rows(observation, *self.sizes, "the reward model"))
        vectors = self.actions.encode(action, observation).reshape(*rows.shape[:2], -1)
        inputs = torch.cat([rows, vectors], -1).transpose(0, 1)
        parts = agents_last(self.net(inputs), observation)
        return parts if living is None else parts.masked_fill(~living, 0)

    def split(
        self, reward: Tensor, observation: Tensor, action: Tensor, living: Tensor | None = None
    ) -> Tensor:
        """r `[*B, N, 1]`, whose sum over the agents is that of `reward`.

        Args:
            reward: `[*B, N, 1]`; only the sum is read.
            observation, action, living: see `forward`.
        """
        mean, std = self.moments.moments()
        part = mean / self.sizes[0] + std * self(observation, action, living)
        if living is None:
            return part + equal_shares(reward - part)
        part = part.masked_fill(~living, 0)
        return part + equal_shares(reward - part, living)

    def error(
        self, reward: Tensor, observation: Tensor, action: Tensor, living: Tensor | None = None
    ) -> Tensor:
        """Σ_j f_j − (R − m) / σ `[*B]`, what the model does not explain, in units of σ."""
        wanted = self.moments.normalize(reward.sum(-2, keepdim=True))
        found = self(observation, action, living).sum(-2, keepdim=True)
        return (found - wanted).squeeze(-1).squeeze(-1)


def equal_shares(reward: Tensor, living: Tensor | None = None) -> Tensor:
    """The sum of the agents' rewards, divided among those that live: `[*B, N, 1]` → the same.

    So the shares sum to the team's reward also when agents have died; the shares of the others grow
    then.
    """
    total = reward.sum(-2, keepdim=True)
    if living is None:
        return (total / reward.shape[-2]).expand_as(reward)
    count = living.sum(-2, keepdim=True)
    everyone = (count == 0).to(reward.dtype) / reward.shape[-2]
    return total * torch.where(living, 1 / count.clamp_min(1), everyone)
