"""Advantages and value targets from critics that speak normalised values: what on-policy algorithms are made of."""

from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase, TensorDictSequential
from torch import Tensor
from torchrl.objectives.value import MultiAgentGAE
from torchrl.objectives.value.functional import vec_td_lambda_return_estimate

from ilvf.credit import ILVFAdvantage, standardise
from ilvf.credit.signals import alive
from ilvf.errors import require
from ilvf.modules import CategoricalActor, CentralCritic, CounterfactualCritic, ValueNorm


def real_scale(
    module: TensorDictModuleBase, norm: ValueNorm | None, group: tuple[str, ...] = ("agents",)
) -> Any:
    """A module that writes `normalised_value`, followed by its translation into `state_value` in the reward's units."""
    raw, real = (*group, "normalised_value"), (*group, "state_value")
    scale = norm.denormalise if norm is not None else torch.clone
    return TensorDictSequential(module, TensorDictModule(scale, in_keys=[raw], out_keys=[real]))


def gae(gamma: float, lmbda: float) -> MultiAgentGAE:
    """GAE(γ, λ) of every agent on values that are there already (Schulman et al., 2016)."""
    require(
        0 <= gamma <= 1 and 0 <= lmbda <= 1, f"gamma={gamma} and lmbda={lmbda} must be in [0, 1]"
    )
    return MultiAgentGAE(gamma=gamma, lmbda=lmbda, value_network=None)


def local_estimator(
    critic: Any,
    norm: ValueNorm | None,
    influence: Tensor | None = None,
    *,
    gamma: float,
    lmbda: float,
    state_key: str = "state",
    **credit: Any,
) -> ILVFAdvantage:
    """Per-agent GAE on the critic's values, mixed by an influence; `credit`: options of `ILVFAdvantage`."""
    values = real_scale(
        critic.value_module(value_key="normalised_value", state_key=state_key), norm
    )
    return ILVFAdvantage(gae(gamma, lmbda), values, influence, shifted=True, **credit)


class TeamAdvantage:
    """One advantage for all, of the summed reward, from one central value: the classical MAPPO (Yu et al., 2022).

    R = Σ_i r_i,  A = GAE(R, V),  Â_i = A.  Values and targets `[*B, T, 1, 1]` are the team's and stand at the root.
    """

    def __init__(
        self,
        critic: CentralCritic,
        norm: ValueNorm | None,
        *,
        gamma: float,
        lmbda: float,
        normalize: str,
        state_key: str = "state",
    ):
        module = critic.value_module(value_key="normalised_value", state_key=state_key)
        options: dict[str, Any] = dict(normalize=normalize, shifted=True)
        self.estimator = ILVFAdvantage(
            gae(gamma, lmbda), real_scale(module, norm, ()), torch.ones(1, 1), **options
        )
        root = {
            k: k
            for k in (
                "value_target",
                "individual_advantage",
                "influence",
                "influence_weight",
                "mask",
            )
        }
        self.estimator.set_keys(
            **root, value="state_value", reward="team_reward", advantage="team_advantage"
        )
        self.tensor_keys = self.estimator.tensor_keys

    def __call__(self, rollout: TensorDictBase) -> TensorDictBase:
        reward = rollout["next", "agents", "reward"]
        rollout["next", "team_reward"] = reward.sum(-2, keepdim=True)
        self.estimator(rollout)
        rollout["agents", "advantage"] = rollout["team_advantage"].expand_as(reward)
        return rollout


class CounterfactualAdvantage:
    """COMA's credit (Foerster et al., 2018): what an agent's action adds to what its policy would have got on average.

        Â_i = Q_i(s, a) − Σ_b π_i(b | o_i) Q_i(s, b, a_−i)

    Q_i are regressed on the λ-return of the team's reward with the values Q_i(s', a'), a' ~ π(· | o'). That return goes
    on when agent i has died (`("agents", "mask")`), but Q_i is not trained any more: the mean of the living counts.
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
        require(
            0 <= gamma <= 1 and 0 <= lmbda <= 1,
            f"gamma={gamma} and lmbda={lmbda} must be in [0, 1]",
        )
        self.actor, self.critic, self.norm = actor, critic, norm
        self.gamma, self.lmbda, self.normalize = gamma, lmbda, normalize
        self.state_key = ("agents", state_key)
        self.tensor_keys = ILVFAdvantage.default_keys()

    @torch.no_grad()
    def __call__(self, rollout: TensorDictBase) -> TensorDictBase:
        q = self.critic.all_actions(rollout[self.state_key], rollout["agents", "action"])
        chosen = q.gather(-1, rollout["agents", "action"].unsqueeze(-1))
        pi = self.actor.log_probs(*(rollout.get(k) for k in self.actor.in_keys)).exp()
        advantage = self._real(chosen) - (pi * self._real(q)).sum(-1, keepdim=True)
        living = alive(rollout, self.tensor_keys.mask, q.shape[-2])
        if self.normalize != "none":
            advantage = standardise(advantage, per_agent=self.normalize == "agent", mask=living)
        advantage = advantage if living is None else advantage.masked_fill(~living, 0)
        written = {
            "normalised_value": chosen,
            "state_value": self._real(chosen),
            "advantage": advantage,
        }
        for key, value in {**written, "value_target": self._target(rollout)}.items():
            rollout["agents", key] = value
        return rollout

    def _target(self, rollout: TensorDictBase) -> Tensor:
        following = self.actor(rollout["next"].select(*self.actor.in_keys))
        value = self._real(
            self.critic(rollout["next", *self.state_key], following["agents", "action"])
        ).squeeze(-1)
        living = alive(rollout["next"], self.tensor_keys.mask, value.shape[-1])
        if living is not None:
            lives = living.squeeze(-1)
            mean = (value * lives).sum(-1, keepdim=True) / lives.sum(-1, keepdim=True).clamp_min(1)
            value = torch.where(lives, value, mean)
        reward = rollout["next", "agents", "reward"].sum(-2).expand_as(value)
        done, terminated = (rollout["next", k].expand_as(value) for k in ("done", "terminated"))
        if self.lmbda == 0:
            return (reward + self.gamma * ~terminated * value).unsqueeze(-1)
        return vec_td_lambda_return_estimate(
            self.gamma, self.lmbda, value, reward, done, terminated
        ).unsqueeze(-1)

    def _real(self, value: Tensor) -> Tensor:
        return value if self.norm is None else self.norm.denormalise(value)
