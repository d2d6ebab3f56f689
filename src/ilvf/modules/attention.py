"""Gumbel attention: how much each agent's state counts in each agent's value (eq. 8)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ilvf.modules.agent_nets import AgentMLP, input_normalizer, state_rows
from ilvf.modules.checks import require_floats
from ilvf.modules.options import AttentionOptions, MLPOptions
from ilvf.options import configure, select
from ilvf.options.arguments import require_flags, require_kind, require_number, require_sizes

HEAD_GAIN = 0.01  # small: before training the weights depend on the bias alone
INITIAL_BIAS = {  # of the logits: (on the diagonal, off the diagonal)
    "random": (0.0, 0.0),
    "identity": (2.0, -2.0),
    "ones": (2.0, 2.0),
}


class GumbelAttention(nn.Module):
    """Attention logits h_i = f_h_i(s): one logit per pair of critic i and state j.

        w_ij   = sigmoid(h_ij / τ)               `weight(h)`: noise-free, for V and for the metrics
        w^g_ij = sigmoid((h_ij + g_ij) / τ)      `sample(h)`: with Gumbel noise, for Q

    Args:
        n_agents, state_dim: N and D of `("agents", "state")`.
        depth: hidden layers of f_h.
        own_first: False leaves out the first layer of f_h. The critic then computes it and calls
            `logits.after_first`.
        candidates: logits of each critic: one for each of K candidates, its own state first; None
            is one for each of the N agents.
        **options: see `AttentionOptions`.
    """

    def __init__(
        self,
        n_agents: int,
        state_dim: int,
        *,
        depth: int = 1,
        own_first: bool = True,
        candidates: int | None = None,
        **options: Any,
    ):
        super().__init__()
        require_sizes("GumbelAttention", n_agents=n_agents, state_dim=state_dim)
        require_flags("GumbelAttention", own_first=own_first)
        self.sizes = (n_agents, state_dim)
        outputs = n_agents if candidates is None else candidates
        require_sizes("GumbelAttention", candidates=outputs)
        network = configure(AttentionOptions, {"depth": depth, **options}, "GumbelAttention")
        self.tau = network.tau
        self.normalize = input_normalizer(network.input_norm)
        self.logits = AgentMLP(
            n_agents,
            n_agents * state_dim,
            outputs,
            head_gain=HEAD_GAIN,
            first=own_first,
            **select(network, MLPOptions),
        )
        on, off = INITIAL_BIAS[network.initial]
        own = torch.eye(n_agents).unsqueeze(1) if candidates is None else torch.eye(1, outputs)
        assert self.logits.head.bias is not None
        with torch.no_grad():
            self.logits.head.bias.copy_(on * own + off * (1 - own))

    def forward(self, state: Tensor) -> Tensor:
        """state `[B, N, D]` → h `[B, N, N]`, row = critic, column = state."""
        rows = state_rows(state, *self.sizes, "the attention")
        return self.logits(self.normalize(rows.flatten(1))).transpose(0, 1)

    def weight(self, logits: Tensor) -> Tensor:
        """w of the logits h, without noise."""
        return torch.sigmoid(logits / self.tau)

    def sample(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """w^g of the logits h, with fresh noise at each call."""
        return noisy_sigmoid(logits, self.tau, generator)

    def to_others(self, logits: Tensor, living: Tensor | None = None) -> Tensor:
        """w̄_i = mean_{j≠i} w_ij `[*B, N]`: the mean weight of each critic on the other agents.

        Args:
            logits: h `[*B, N, N]`, row = critic.
            living: bool `[*B, N, 1]`, or None if all agents live; weights of the dead count 0.
        """
        return mean_of_others(of_living(self.weight(logits), living))

    def cross_entropy(
        self, logits: Tensor, evidence: Tensor, living: Tensor | None = None
    ) -> Tensor:
        """Cross-entropy between the attention and the evidence for each link, `[*B, N]`.

            H_i = mean_{j≠i} −p_ji log w_ij − (1 − p_ji) log(1 − w_ij)

        The links of a dead agent count nothing.

        Args:
            logits: h `[*B, N, N]`, row = critic.
            evidence: p `[*B, N, N]` in [0, 1], row = acting agent.
            living: bool `[*B, N, 1]`, or None if all agents live.
        """
        target = evidence.transpose(-1, -2).to(logits.dtype)
        error = binary_cross_entropy_with_logits(logits / self.tau, target, reduction="none")
        return mean_of_others(of_living(error, living))


def of_living(pairs: Tensor, living: Tensor | None) -> Tensor:
    """`[*B, N, N]` with 0 for pairs of which one is dead."""
    if living is None:
        return pairs
    return pairs.masked_fill(~(living & living.transpose(-1, -2)), 0)


def mean_of_others(pairs: Tensor) -> Tensor:
    """Mean of each row of `[*B, N, N]` without the diagonal; 0 for a single agent."""
    n_agents = pairs.shape[-1]
    own = torch.eye(n_agents, dtype=torch.bool, device=pairs.device)
    return pairs.masked_fill(own, 0).sum(-1) / max(n_agents - 1, 1)


def gumbel_sigmoid(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """Noisy attention weights  w^g = sigmoid((h + g) / τ),  with fresh noise g (eq. 8)."""
    require_floats("the logits", logits)
    require_number("gumbel_sigmoid", "tau", tau, above=0)
    require_generator("gumbel_sigmoid", generator)
    return noisy_sigmoid(logits, tau, generator)


def noisy_sigmoid(logits: Tensor, tau: float, generator: torch.Generator | None = None) -> Tensor:
    """`gumbel_sigmoid` without checks."""
    noise = gumbel_like(logits, generator)
    return torch.sigmoid((logits + noise) / tau).to(logits.dtype)


def require_generator(of: str, generator: Any) -> None:
    """Raise unless it is a generator of random numbers, or None."""
    require_kind(of, "generator", generator, torch.Generator | None, "a torch.Generator or None")


def gumbel_like(x: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Gumbel noise of the shape of x:  g = −log(−log u),  u ~ U(0, 1).

    The noise is finite: u = 0, which generators return once in 2²⁴ draws, counts as the smallest
    positive number. With g = −∞ a possible action would lose to an impossible one, whose logit is
    the lowest finite number. In 16 bits u = 0 would be frequent, so the noise is float32 at least.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    u = torch.rand(x.shape, generator=generator, dtype=dtype, device=x.device)
    return u.clamp_min_(torch.finfo(dtype).tiny).log_().neg_().log_().neg_()
