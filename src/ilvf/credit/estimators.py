"""Advantages and value targets of on-policy algorithms, from critics with normalised outputs."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.objectives.value import MultiAgentGAE
from torchrl.objectives.value.functional import vec_td_lambda_return_estimate

from ilvf.credit.advantage import ILVFAdvantage
from ilvf.credit.functional import standardise
from ilvf.credit.signals import alive, team_reward
from ilvf.credit.sources import InfluenceSource
from ilvf.errors import require
from ilvf.modules import CategoricalActor, CentralCritic, CounterfactualCritic, ValueNorm
from ilvf.modules.actions import entries_of
from ilvf.modules.value_norm import denormalised

ROOT_KEYS = (
    "value_target",
    "individual_advantage",
    "influence",
    "influence_weight",
    "mask",
    "bootstrap",
)


def require_discounts(gamma: float, lmbda: float) -> None:
    """Raise unless γ and λ are in [0, 1]."""
    inside = 0 <= gamma <= 1 and 0 <= lmbda <= 1
    require(inside, f"gamma={gamma} and lmbda={lmbda} must be in [0, 1]")


def gae(gamma: float, lmbda: float) -> MultiAgentGAE:
    """GAE(γ, λ) of every agent, on values in the tensordict (Schulman et al., 2016)."""
    require_discounts(gamma, lmbda)
    return MultiAgentGAE(gamma=gamma, lmbda=lmbda, value_network=None)


class GAEWithReturns(MultiAgentGAE):
    """GAE(γ, λ) advantages with discounted returns as value targets (eq. 9).

    GAE(γ, 1) + V is the discounted return, bootstrapped where the rollout cuts an episode.
    """

    def __init__(self, gamma: float, lmbda: float):
        require_discounts(gamma, lmbda)
        super().__init__(gamma=gamma, lmbda=lmbda, value_network=None)
        self.returns = gae(gamma, 1.0)

    def set_keys(self, **kwargs: NestedKey) -> None:
        super().set_keys(**kwargs)
        if hasattr(self, "returns"):
            self.returns.set_keys(**kwargs)

    def forward(self, tensordict: TensorDictBase, **options: Any) -> TensorDictBase:
        super().forward(tensordict, **options)
        target = self.tensor_keys.value_target
        return tensordict.set(target, self.returns(tensordict.copy(), **options)[target])

    def value_estimate(self, tensordict: TensorDictBase, **options: Any) -> Tensor:
        """The discounted return, as `forward` writes it."""
        return self.returns.value_estimate(tensordict, **options)


def local_estimator(
    critic: Any,
    norm: ValueNorm | None,
    influence: Tensor | InfluenceSource | None = None,
    *,
    inner: MultiAgentGAE,
    normalize: str,
    state_key: str = "state",
) -> ILVFAdvantage:
    """`inner` on the critic's denormalised values, mixed by an influence."""
    values = critic.value_module(value_key="normalised_value", state_key=state_key)
    scaled = denormalised(
        values, norm, [("agents", "normalised_value")], [("agents", "state_value")]
    )
    return ILVFAdvantage(inner, scaled, influence, normalize=normalize, shifted=True)


class TeamAdvantage:
    """One advantage for all agents, of the summed reward: the classical MAPPO (Yu et al., 2022).

        R = Σ_i r_i,   A = GAE(R, V),   Â_i = A              the sum is over the living

    Values and targets `[*B, T, 1, 1]` belong to the team and are at the root.
    """

    def __init__(
        self,
        critic: CentralCritic,
        norm: ValueNorm | None,
        *,
        inner: MultiAgentGAE,
        normalize: str,
        state_key: str = "state",
    ):
        module = critic.value_module(value_key="normalised_value", state_key=state_key)
        values = denormalised(module, norm, ["normalised_value"], ["state_value"])
        team = torch.ones(1, 1)
        self.estimator = ILVFAdvantage(inner, values, team, normalize=normalize, shifted=True)
        self.estimator.set_keys(
            **{key: key for key in ROOT_KEYS},
            value="state_value",
            reward="team_reward",
            advantage="team_advantage",
        )
        self.tensor_keys = self.estimator.tensor_keys

    def __call__(self, rollout: TensorDictBase) -> TensorDictBase:
        """Write the advantage and the value target into a rollout `[*B, T]`."""
        key = ("agents", "reward")
        total = team_reward(rollout, key, ("agents", "mask"))
        rollout["next", "team_reward"] = total.unsqueeze(-2)
        self.estimator(rollout)
        of_team = rollout["team_advantage"]
        rollout["agents", "advantage"] = of_team.expand_as(rollout[("next", *key)])
        return rollout


class CounterfactualAdvantage:
    """COMA's credit (Foerster et al., 2018): an action against the average of the agent's policy.

        Â_i = Q_i(s, a) − Σ_b π_i(b | o_i) Q_i(s, b, a_−i)

    Q_i regresses the λ-return of the reward of those who live, with Q_i(s', a'), a' ~ π(· | o').
    That return continues when agent i has died (`("agents", "mask")`), but Q_i is no longer
    trained: the mean value of the living agents replaces it. An agent whose own clock ends before
    the others' (`("agents", "bootstrap")` without `mask`) is bootstrapped with its own Q_i: its
    return ends there, as the team's later rewards come without it.
    """

    def __init__(
        self,
        actor: CategoricalActor,
        critic: CounterfactualCritic,
        norm: ValueNorm | None,
        *,
        gamma: float,
        lmbda: float,
        normalize: str,
        state_key: str = "state",
    ):
        require_discounts(gamma, lmbda)
        self.actor = actor
        self.critic = critic
        self.norm = norm
        self.gamma = gamma
        self.lmbda = lmbda
        self.normalize = normalize
        self.state_key = ("agents", state_key)
        self.tensor_keys = ILVFAdvantage.default_keys()

    @torch.no_grad()
    def __call__(self, rollout: TensorDictBase) -> TensorDictBase:
        """Write values, advantages and the value target into a rollout `[*B, T]`."""
        action = rollout["agents", "action"]
        q = self.critic.all_actions(rollout[self.state_key], action)
        chosen = entries_of(q, action)
        pi = self.actor.log_probs_of(rollout).exp()
        average = (pi * self._denormalise(q)).sum(-1, keepdim=True)
        advantage = self._denormalise(chosen) - average
        living = alive(rollout, self.tensor_keys.mask, q.shape[-2])
        if self.normalize != "none":
            per_agent = self.normalize == "agent"
            advantage = standardise(advantage, per_agent=per_agent, mask=living)
        if living is not None:
            advantage = advantage.masked_fill(~living, 0)
        rollout["agents", "normalised_value"] = chosen
        rollout["agents", "state_value"] = self._denormalise(chosen)
        rollout["agents", "advantage"] = advantage
        rollout["agents", "value_target"] = self._target(rollout)
        return rollout

    def _target(self, rollout: TensorDictBase) -> Tensor:
        """The λ-return of the team's reward `[*B, T, N, 1]`."""
        following = rollout["next"]
        value = self._next_value(following)
        keys = self.tensor_keys
        reward = team_reward(rollout, keys.reward, keys.mask).expand_as(value)
        done = following["done"].expand_as(value)
        terminated = following["terminated"].expand_as(value)
        living = alive(following, self.tensor_keys.mask, value.shape[-1])
        valued = alive(following, self.tensor_keys.bootstrap, value.shape[-1])
        if living is not None and valued is not None:
            done = done | (valued & ~living).squeeze(-1)  # an agent's own clock has ended
        if self.gamma * self.lmbda == 0:
            return (reward + self.gamma * ~terminated * value).unsqueeze(-1)
        target = vec_td_lambda_return_estimate(
            self.gamma, self.lmbda, value, reward, done, terminated
        )
        return target.unsqueeze(-1)

    def _next_value(self, following: TensorDictBase) -> Tensor:
        """Q_i(s', a') `[*B, T, N]`; for dead agents the mean of the living."""
        acted = self.actor(following.select(*self.actor.in_keys))
        q = self.critic(following[self.state_key], acted["agents", "action"])
        value = self._denormalise(q).squeeze(-1)
        living = alive(following, self.tensor_keys.mask, value.shape[-1])
        if living is None:
            return value
        lives = living.squeeze(-1)
        count = lives.sum(-1, keepdim=True).clamp_min(1)
        mean = (value * lives).sum(-1, keepdim=True) / count
        valued = alive(following, self.tensor_keys.bootstrap, value.shape[-1])
        has_own = lives if valued is None else valued.squeeze(-1)
        return torch.where(has_own, value, mean)

    def _denormalise(self, value: Tensor) -> Tensor:
        return value if self.norm is None else self.norm.denormalize(value)
