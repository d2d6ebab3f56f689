"""`GaussianActor`: N normal policies over the actions of a `Box`, as one module."""

import math
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn.utils import biased_softplus
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn.functional import softplus

from ilvf.errors import require
from ilvf.modules.actions import Box
from ilvf.modules.actors.network import StochasticActor, deterministic_mode
from ilvf.modules.checks import need, require_same_shape
from ilvf.modules.options import GaussianActorOptions, GaussianOptions, PolicyOptions
from ilvf.modules.parts import Parts
from ilvf.options import configure, select
from ilvf.options.arguments import found_words

LEAST_SCALE = 1e-4


class GaussianActor(StochasticActor):
    """Normal policies of all agents over the actions of a `Box`.

        x_i ~ Normal(μ_i, σ_i)
        normal         u_i = x_i                            a_i = clip u_i to [−1, 1], in units
        tanh_normal    u_i = tanh x_i                       a_i = u_i
        μ_i = f_i(LN(o_i))
        σ_i = softplus(b_i + c) + 10⁻⁴                      scale="shared": b_i is a parameter
        σ_i = softplus(g_i(LN(o_i)) + c) + 10⁻⁴             scale="state": f_i, g_i are one network

    u is in units of half the range of an action (see `Box`), and c makes the first σ
    `initial_scale`. The components of an action are independent. Log-densities are computed from
    x_i, which is exact also where tanh x_i rounds to ±1:

        log p(u_i) = log Normal(x_i; μ_i, σ_i) − log(d tanh x_i / dx_i)

    Reads `(group, "observation")` `[*B, N, Do]`. Writes `(group, "action")` `[*B, N, A]`, always
    within the bounds; `(group, "action_sample")`, x, `[*B, N, A]`; and
    `(group, "action_log_prob")` `[*B, N]`, the log-density of u. Samples, or takes μ_i (or tanh
    μ_i) in a `deterministic_mode`. Fixed components of the box have no part in densities.

    Args:
        n_agents, observation_dim: N, Do.
        actions: the `Box`.
        **options: see `GaussianActorOptions` and `NetworkActor`.

    Raises:
        UsageError: actions that are no Box, or a Box of another number of agents.
    """

    written = ("action", "action_log_prob", "action_sample")
    actions: Box

    def __init__(
        self,
        n_agents: int,
        observation_dim: int,
        actions: Box,
        *,
        masked: bool = False,
        group: str = "agents",
        parts: Parts = None,
        **options: Any,
    ):
        require_box(actions, "GaussianActor")
        given = configure(GaussianActorOptions, options, "GaussianActor")
        of_state = given.scale == "state"
        super().__init__(
            n_agents,
            observation_dim,
            actions,
            outputs=actions.width * (2 if of_state else 1),
            masked=masked,
            group=group,
            parts=parts,
            **select(given, PolicyOptions),
        )
        self.arguments |= select(given, GaussianOptions)
        self.squashed = given.distribution == "tanh_normal"
        self.to_scale = biased_softplus(given.initial_scale + LEAST_SCALE, LEAST_SCALE)
        shape = (n_agents, actions.width)
        self.raw_scale = None if of_state else nn.Parameter(torch.zeros(shape))

    @property
    def sample_key(self) -> NestedKey:
        """The key whose values have the log-probability that `evaluate` returns."""
        return self.out_keys[2]

    def parameters_of(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """μ and σ `[*B, N, A]` of a tensordict's steps, each with its own hidden state."""
        return self._loc_scale(self.outputs(**self.inputs(tensordict)))

    def _loc_scale(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ in full precision, from the outputs of the networks."""
        outputs = outputs.to(self.actions.low.dtype)
        if self.raw_scale is None:
            loc, raw = outputs.chunk(2, -1)
            return loc, self.to_scale(raw)
        return outputs, self.to_scale(self.raw_scale).expand_as(outputs)

    def best(self, outputs: Tensor) -> Tensor:
        """The action at μ, or at tanh μ, `[*B, N, A]`."""
        loc = outputs if self.raw_scale is not None else outputs.chunk(2, -1)[0]
        return self.actions.denormalize(loc.tanh() if self.squashed else loc)

    def log_density(self, loc: Tensor, scale: Tensor, sample: Tensor) -> Tensor:
        """Log-density of u `[*B, N]`, from its normal sample x `[*B, N, A]`."""
        density = normal(loc, scale).log_prob(sample)
        if self.squashed:
            density = density - log_slope_of_tanh(sample)
        return self._total(density)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        loc, scale = self._loc_scale(self.act(tensordict))
        sample = loc if deterministic_mode() else normal(loc, scale).rsample().detach()
        values = (
            self.actions.denormalize(sample.tanh() if self.squashed else sample),
            self.log_density(loc, scale, sample),
            sample,
        )
        for key, value in zip(self.out_keys, values, strict=False):  # then the hidden states
            tensordict.set(key, value)
        return tensordict

    def recorded(self, tensordict: TensorDictBase, loc: Tensor) -> Tensor:
        """The samples x in a tensordict, which must have the shape of μ `[*B, N, A]`."""
        sample = need(tensordict, self.sample_key)
        require_same_shape(self.sample_key, sample, loc)
        return sample

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """Log-density of the recorded samples, and entropy, `[*B, N]` each.

        The entropy of `tanh_normal` has no formula; it is estimated from one new sample, with the
        gradient of that sample. With a memory the batch is sequences `[*C, L]`, see
        `NetworkActor.sequences`.
        """
        loc, scale = self._loc_scale(self.outputs(**self.sequences(tensordict)))
        log_prob = self.log_density(loc, scale, self.recorded(tensordict, loc))
        if self.squashed:
            return log_prob, -self.log_density(loc, scale, normal(loc, scale).rsample())
        return log_prob, self._total(normal(loc, scale).entropy())

    def draw(self, tensordict: TensorDictBase, noise: torch.Generator) -> Tensor:
        """Actions `[*B, N, A]` with noise from a generator.

        The same noise gives the same action wherever the observation is the same.
        """
        loc, scale = self.parameters_of(tensordict)
        standard = torch.randn(loc.shape, generator=noise, dtype=loc.dtype, device=loc.device)
        x = loc + scale * standard
        return self.actions.denormalize(x.tanh() if self.squashed else x)

    def _total(self, density: Tensor) -> Tensor:
        """Sum over the free components."""
        return density.masked_fill(~self.actions.free, 0).sum(-1)


def normal(loc: Tensor, scale: Tensor) -> Normal:
    """The normal distributions of all components.

    Without checks, and sampled by `rsample`: both checks and `sample` read the device.
    """
    return Normal(loc, scale, validate_args=False)


def log_slope_of_tanh(x: Tensor) -> Tensor:
    """log(d tanh x / dx) = 2 (log 2 − x − log(1 + e⁻²ˣ)), finite for every x."""
    return 2 * (math.log(2) - x - softplus(-2 * x))


def require_box(actions: object, name: str) -> None:
    """Raise unless an actor's actions are a `Box`."""
    require(
        isinstance(actions, Box),
        f"{name} is for continuous actions, a Box; found {found_words(actions)}",
    )
