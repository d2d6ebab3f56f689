"""`MADDPGLoss`: deterministic policy gradients through every agent's own critic, for discrete actions."""

from dataclasses import dataclass

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn
from torch.nn import functional as F
from torchrl.objectives.common import LossModule

from ilvf.credit.signals import alive
from ilvf.errors import require
from ilvf.losses.functional import huber, team_mean
from ilvf.modules.actors.categorical import CategoricalActor
from ilvf.modules.attention import gumbel_like
from ilvf.modules.critics.joint import JointCritic
from ilvf.modules.targets import ReturnNorm, after, frozen_copy


class MADDPGLoss(LossModule):
    """MADDPG (Lowe et al., 2017) with straight-through Gumbel-softmax actors, each on its own reward.

        critic    Σ_i mean_B ℓ(Q_i(s, a) − y_i),    y_i = r_i + γ (1 − terminated) Q̄_i(s', ā'),  ā'_j ~ π̄_j(o'_j)
        actor     −Σ_i mean_B[ Q_i(s, a_1 .. ã_i .. a_N) + β H(π_i) ],    ã_i = straight-through sample of π_i(o_i)

    The bar marks target networks. A truncated episode bootstraps, a terminated one does not. Critics put out normalised
    values (see `ReturnNorm`), so that neither loss depends on the scale of the rewards. In agent i's actor loss only
    its own action is a sample, the others' are the batch's. The actor loss runs through a critic whose parameters are
    held, the critic loss reads recorded actions: neither trains the other's network.

    Args:
        actor, critic: own their parameters here; their targets are frozen copies.
        gamma: γ.
        normalise: values by the moments of every agent's rewards; False regresses y as it is.
        temperature: of the Gumbel-softmax whose gradient the sample has.
        entropy: β.
        huber_delta: δ of ℓ = Huber; None is the squared error, ℓ(e) = e².

    Output: `loss_actor`, `loss_critic`, and the diagnostics `target` (mean y, in reward units), `error` (mean |Q − y|,
    normalised) and `entropy`, detached. Where a transition has a `mask` `[*B, N]`, only agents that are alive (True)
    count, and the dead of the next state have no future.
    """

    @dataclass
    class _AcceptedKeys:
        state: NestedKey = ("agents", "state")
        reward: NestedKey = ("agents", "reward")
        terminated: NestedKey = "terminated"
        mask: NestedKey = ("agents", "mask")

    default_keys = _AcceptedKeys
    actor: CategoricalActor
    critic: JointCritic
    target_actor: CategoricalActor
    target_critic: JointCritic
    norm: ReturnNorm | None

    def __init__(
        self,
        actor: CategoricalActor,
        critic: JointCritic,
        *,
        gamma: float = 0.99,
        normalise: bool = True,
        temperature: float = 1.0,
        entropy: float = 0.05,
        huber_delta: float | None = None,
    ):
        super().__init__()
        require(0 <= gamma <= 1, f"gamma={gamma} must be in [0, 1]")
        require(temperature > 0, f"temperature={temperature} must be positive")
        require(entropy >= 0, f"entropy={entropy} must not be negative")
        require(
            huber_delta is None or huber_delta > 0,
            f"huber_delta={huber_delta} must be positive, or null for squares",
        )
        self.actor, self.critic = actor, critic
        self.target_actor, self.target_critic = frozen_copy(actor), frozen_copy(critic)
        self.gamma, self.huber_delta = gamma, huber_delta
        self.norm = ReturnNorm((actor.arguments["n_agents"], 1), gamma) if normalise else None
        self.temperature, self.entropy = temperature, entropy
        self.in_keys = self.batch_keys

    @property
    def functional(self) -> bool:
        return False

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        """(target, what it follows)."""
        return (self.target_actor, self.actor), (self.target_critic, self.critic)

    @property
    def batch_keys(self) -> list[NestedKey]:
        """What a transition must hold."""
        keys = self.tensor_keys
        now = [*self.actor.in_keys, keys.state]
        return [
            *now,
            *map(after, now),
            self.actor.out_keys[0],
            after(keys.reward),
            after(keys.terminated),
        ]

    @property
    def optional_keys(self) -> list[NestedKey]:
        """What a transition may hold besides."""
        return [self.tensor_keys.mask, after(self.tensor_keys.mask)]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        logp = self.actor.log_probs(*(tensordict.get(k) for k in self.actor.in_keys))
        action = F.one_hot(tensordict.get(self.actor.out_keys[0]), logp.shape[-1]).to(logp.dtype)
        state = tensordict.get(self.tensor_keys.state)
        if self.norm is not None:
            self.norm.update(
                tensordict.get(after(self.tensor_keys.reward))
            )  # zeros of the dead count
        target = self.target(tensordict)
        regressed = target if self.norm is None else self.norm.normalise(target)
        error = self.critic(state, action.flatten(1)) - regressed
        loss = error.square() if self.huber_delta is None else huber(error, self.huber_delta)
        entropy = -(logp.exp() * logp).sum(-1)
        gain = self.gain(state, action, straight_through(logp, self.temperature))
        living = alive(tensordict, self.tensor_keys.mask, logp.shape[-2])
        if living is not None:
            gain, entropy = (x.masked_fill(~living.squeeze(-1), 0) for x in (gain, entropy))
            loss = loss.masked_fill(~living, 0)
        terms = {
            "loss_actor": -team_mean(gain) - self.entropy * team_mean(entropy),
            "loss_critic": team_mean(loss.squeeze(-1)),
        }
        diagnostics = {"target": target, "error": error.abs(), "entropy": entropy}
        return TensorDict({**terms, **{k: v.detach().mean() for k, v in diagnostics.items()}})

    def gain(self, state: Tensor, action: Tensor, sample: Tensor) -> Tensor:
        """Q_i(s, a_1 .. ã_i .. a_N) `[B, N]`, of recorded actions and samples `[B, N, A]`; the critic is held."""
        held = {k: v.detach() for k, v in self.critic.named_parameters()}
        return torch.func.functional_call(
            self.critic, held, (state, own_replaced(action, sample))
        ).squeeze(-1)

    @torch.no_grad()
    def target(self, tensordict: TensorDictBase) -> Tensor:
        """y `[B, N, 1]`."""
        later, keys = tensordict.get("next"), self.tensor_keys
        logp = self.target_actor.log_probs(*(later.get(k) for k in self.actor.in_keys))
        action = F.one_hot((logp + gumbel_like(logp)).argmax(-1), logp.shape[-1])
        future = self.target_critic(later.get(keys.state), action.flatten(1))
        on = (~later.get(keys.terminated)).to(future.dtype).unsqueeze(-1)
        future = future if self.norm is None else self.norm.denormalise(future)
        living = alive(later, keys.mask, logp.shape[-2])
        future = future if living is None else future.masked_fill(~living, 0)
        return later.get(keys.reward) + self.gamma * on * future


def straight_through(logp: Tensor, temperature: float) -> Tensor:
    """A one-hot sample of softmax(logp) with the gradient of its Gumbel-softmax relaxation (Jang et al., 2017).

    ã = one_hot(argmax z) + p − [p],   p = softmax(z / temperature),   z = logp + g,   g ~ Gumbel,   [·] detached
    """
    z = logp + gumbel_like(logp)
    soft = (z / temperature).softmax(-1)
    return F.one_hot(z.argmax(-1), z.shape[-1]).to(soft.dtype) + (soft - soft.detach())


def own_replaced(action: Tensor, sample: Tensor) -> Tensor:
    """One joint action for every agent's critic, in which its own is the sample: `[B, N, A]` twice → `[N, B, N·A]`."""
    own = torch.eye(action.shape[-2], dtype=torch.bool, device=action.device)[:, None, :, None]
    return torch.where(own, sample, action).flatten(2)
