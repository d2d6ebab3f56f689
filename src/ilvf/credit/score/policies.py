"""Scores of a policy: the derivative of log π with respect to the distribution's parameters.

A policy's score has mean zero in every state, whatever the environment does. The score test rests
on this alone.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential
from torch import Tensor, nn
from torch.nn import functional as F

from ilvf.credit.signals import need
from ilvf.errors import UsageError, require
from ilvf.modules import (
    CategoricalActor,
    Choices,
    GaussianActor,
    MultiCategoricalActor,
)
from ilvf.modules.actors.network import StochasticActor
from ilvf.modules.agent_nets import AgentLinear, layer_norm
from ilvf.options.arguments import found_words

CPU = torch.device("cpu")
DISCRETE = (torch.distributions.Categorical, torch.distributions.OneHotCategorical)


@dataclass(frozen=True)
class PolicyScores:
    """What the test needs of the policies of N agents.

    Attributes:
        score: ∂ log π_i(a_i | o_i) / ∂ (parameters of the distribution), `[*B, N, P]`.
        hidden: input of the last layer and a one, `[*B, N, H]`. score ⊗ hidden is the gradient
            of log π with respect to the last layer.
        observation: LN(o_i), `[*B, N, F]`.
    """

    score: Tensor
    hidden: Tensor
    observation: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors."""
        return self.score, self.hidden, self.observation


@torch.no_grad()
def policy_scores(actor: Any, rollout: TensorDictBase) -> PolicyScores:
    """Scores of the recorded actions, under the policy that took them.

    Args:
        actor: has `log_probs` like a `CategoricalActor`, is a `MultiCategoricalActor` or a
            `GaussianActor`, or a TorchRL `ProbabilisticActor` whose distribution has parameters
            `[*B, N, P]`: Categorical, OneHotCategorical, Normal, TanhNormal, masked or not. Its
            parameters must not have changed since it acted.
        rollout: `[*B]` with the actor's inputs and the actions, sampled.

    Raises:
        UsageError: a deterministic actor, or parameters without an agent axis.
    """
    with last_layer_input(actor, tuple(rollout.shape)) as captured:
        if hasattr(actor, "log_probs"):
            score = categorical_score(actor, rollout)
        elif isinstance(actor, GaussianActor):
            score = gaussian_score(actor, rollout)
        elif isinstance(actor, MultiCategoricalActor):
            score = multi_categorical_score(actor, rollout)
        else:
            score = distribution_score(actor, rollout)
    observation = normalized_observation(actor, rollout, score)
    hidden = captured.get("hidden")
    if hidden is None or hidden.shape[:-1] != score.shape[:-1]:
        hidden = observation
    return PolicyScores(score, with_one(hidden), observation)


def joined(parts: list[PolicyScores]) -> PolicyScores:
    """The scores of several groups as those of one, padded with zeros."""
    if len(parts) == 1:
        return parts[0]
    columns = []
    for tensors in zip(*(part.tensors() for part in parts), strict=True):
        width = max(value.shape[-1] for value in tensors)
        wide = [F.pad(value, (0, width - value.shape[-1])) for value in tensors]
        columns.append(torch.cat(wide, -2))
    return PolicyScores(*columns)


def require_actors(actors: Sequence[Any]) -> None:
    """Raise unless there are actors, and each has a distribution."""
    require(bool(actors), "ScoreInfluence needs an actor, or one for each group; found none")
    for actor in actors:
        stochastic = isinstance(actor, StochasticActor | ProbabilisticTensorDictSequential)
        require(
            stochastic or hasattr(actor, "log_probs"),
            "ScoreInfluence needs a CategoricalActor, a MultiCategoricalActor, a GaussianActor or "
            f"a TorchRL ProbabilisticActor, found {found_words(actor)}",
        )


# ---------------------------------------------------------------------- scores
def categorical_score(actor: Any, rollout: TensorDictBase) -> Tensor:
    """onehot(a) − π(· | o) in A − 1 orthonormal coordinates, `[*B, N, A − 1]`.

    Its A numbers sum to zero, so A − 1 hold the same inner products.
    """
    if isinstance(actor, CategoricalActor):  # which may read hidden states too
        pi = actor.log_probs_of(rollout).exp()
    else:
        inputs = (need(rollout, key) for key in actor.in_keys)
        pi = actor.log_probs(*inputs).exp()
    action = need(rollout, actor.out_keys[0])
    return one_hot_score(Choices(pi.shape[-1]).encode(action, pi), pi)


def multi_categorical_score(actor: MultiCategoricalActor, rollout: TensorDictBase) -> Tensor:
    """The scores of all components side by side, see `categorical_score`: `[*B, N, A − D]`."""
    pi = actor.components_of(rollout).exp()  # [*B, N, D, W]
    chosen = actor.actions.encode(need(rollout, actor.out_keys[0]), pi[..., 0])
    parts = []
    for d, one_hot in enumerate(chosen.split(actor.actions.widths, -1)):
        parts.append(one_hot_score(one_hot, pi[..., d, : one_hot.shape[-1]]))
    return torch.cat(parts, -1)


def one_hot_score(one_hot: Tensor, pi: Tensor) -> Tensor:
    """onehot(a) − π in orthonormal coordinates: two `[*B, N, A]` → `[*B, N, A − 1]`."""
    width = pi.shape[-1]
    return (one_hot - pi) @ zero_sum_basis(width, pi.device).to(pi.dtype)


@functools.cache
def zero_sum_basis(n: int, device: torch.device = CPU) -> Tensor:
    """An orthonormal basis of the vectors of n numbers that sum to zero, `[n, n − 1]` (Helmert).

    Column k, from 1, is 1/√(k (k + 1)) in the first k rows and −√(k/(k + 1)) in the next.
    """
    row = torch.arange(n, dtype=torch.float64, device=device).unsqueeze(-1)
    k = torch.arange(1, max(n, 2), dtype=torch.float64, device=device)
    above = (row < k) / (k * (k + 1)).sqrt()
    return above - (row == k) * (k / (k + 1)).sqrt()


def gaussian_score(actor: GaussianActor, rollout: TensorDictBase) -> Tensor:
    """∂ log π / ∂ (μ, σ) of a `GaussianActor` in units of its size, `[*B, N, 2A]`.

    σ counts as a parameter of every state, also where the actor has one σ for all states. The score
    of a fixed component is 0.
    """
    loc, scale = (x.detach().clone().requires_grad_() for x in actor.parameters_of(rollout))
    sample = actor.recorded(rollout, loc)
    with torch.enable_grad():
        total = actor.log_density(loc, scale, sample).sum()
    return unit_variance(torch.cat(torch.autograd.grad(total, (loc, scale)), -1))


def distribution_score(actor: Any, rollout: TensorDictBase) -> Tensor:
    """The score of TorchRL's actors, by automatic differentiation, `[*B, N, P]`."""
    sampler = last_sampler(actor)
    found = actor.get_dist_params(rollout.select(*actor.in_keys))
    leaves = {}
    for key in sampler.in_keys:
        value = need(found, key)
        if value.is_floating_point():
            leaves[key] = value.detach().clone().requires_grad_()
            found.set(key, leaves[key])
    action = need(rollout, sampler.out_keys[0])
    with torch.enable_grad():
        distribution = sampler.get_dist(found)
        total = distribution.log_prob(action).sum()
        require(
            total.requires_grad,
            f"the actor's {type(distribution).__name__} is no stochastic policy; ScoreInfluence "
            "needs a distribution whose log-probability depends on its parameters",
        )
        gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    parts = []
    for (key, leaf), gradient in zip(leaves.items(), gradients, strict=True):
        require_agent_axis(key, leaf, rollout)
        if gradient is not None:
            parts.append(gradient.nan_to_num(0, 0, 0))
    score = torch.cat(parts, -1)
    return score if isinstance(distribution, DISCRETE) else unit_variance(score)


def last_sampler(actor: ProbabilisticTensorDictSequential) -> ProbabilisticTensorDictModule:
    """The module of the actor that makes its distribution."""
    samplers = [m for m in actor.modules() if isinstance(m, ProbabilisticTensorDictModule)]
    return samplers[-1]


def require_agent_axis(key: Any, value: Tensor, rollout: TensorDictBase) -> None:
    """Raise unless a distribution's parameter is `[*B, N, P]`."""
    require(
        value.ndim == rollout.ndim + 2,
        f"the distribution's parameter {key} has shape {tuple(value.shape)}; "
        f"ScoreInfluence needs {(*rollout.shape, 'N', 'P')}, one row an agent",
    )


def unit_variance(score: Tensor) -> Tensor:
    """Scores of continuous actions in units of their root mean square over the batch.

    The derivative with respect to a mean is (a − μ)/σ², of any size.
    """
    known = score.nan_to_num(0, 0, 0)  # dead agents can have observed anything
    scale = known.square().flatten(0, -3).mean(0).sqrt()
    return score / scale.clamp_min(torch.finfo(score.dtype).tiny)


# ---------------------------------------------------------------------- features
def normalized_observation(actor: Any, rollout: TensorDictBase, score: Tensor) -> Tensor:
    """LN of everything that the actor reads and that has a row for each agent."""
    agents = score.shape[:-1]
    read = []
    for key in actor.in_keys:
        value = need(rollout, key)
        if value.is_floating_point() and value.shape[:-1] == agents:
            read.append(value)
    if not read:
        raise UsageError(
            f"none of the actor's inputs {list(actor.in_keys)} has shape "
            f"{(*agents, 'F')}: ScoreInfluence needs the agents' own observations"
        )
    return layer_norm(torch.cat(read, -1).to(score.dtype))


def with_one(features: Tensor) -> Tensor:
    """`features` with a last column of ones."""
    return F.pad(features, (0, 1), value=1.0)


@contextmanager
def last_layer_input(actor: nn.Module, batch: tuple[int, ...]) -> Iterator[dict[str, Tensor]]:
    """Record what the actor's last linear layer reads, `[*B, N, H]`, under "hidden".

    Nothing is recorded where that layer cannot be seen: no linear layer, or one inside `vmap`.
    """
    layers = [m for m in actor.modules() if isinstance(m, nn.Linear | AgentLinear)]
    captured: dict[str, Tensor] = {}

    def record(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = inputs[0]
        if torch._C._functorch.is_functorch_wrapped_tensor(x):
            return
        if isinstance(module, AgentLinear):  # its input is [N, B, H]
            x = x.transpose(0, 1).unflatten(0, batch)
        captured["hidden"] = x

    handle = layers[-1].register_forward_pre_hook(record) if layers else None
    try:
        yield captured
    finally:
        if handle is not None:
            handle.remove()
