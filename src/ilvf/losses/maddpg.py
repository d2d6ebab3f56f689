"""`MADDPGLoss`: policy gradients through every agent's own critic."""

from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor, nn

from ilvf.credit.signals import alive, keys_of_group, need, of_team, per_agent
from ilvf.losses.options import MADDPGOptions
from ilvf.losses.ppo import team_mean
from ilvf.losses.td import TDLoss, mean_diagnostics, next_key
from ilvf.modules.actors.categorical import CategoricalActor
from ilvf.modules.actors.deterministic import DeterministicActor
from ilvf.modules.critics.joint import JointCritic
from ilvf.modules.targets import frozen_copy
from ilvf.options import configure
from ilvf.options.arguments import require_kind


class MADDPGLoss(TDLoss):
    """MADDPG (Lowe et al., 2017): every actor is trained on its own reward.

        critic    Σ_i mean_B ℓ(Q_i(s, a) − y_i)
                  y_i = r_i + γ (1 − terminated) Q̄_i(s', ā'),    ā'_j ~ π̄_j(o'_j)
        actor     −Σ_i mean_B[ Q_i(s, a_1 .. ã_i .. a_N) + β H(π_i) ]

    ã_i is the straight-through Gumbel-softmax sample of a `CategoricalActor`, or the action of a
    `DeterministicActor`, which has no entropy H. The critics read one-hot vectors, or actions that
    are scaled to their bounds.

    The bar marks target networks. In agent i's actor loss only its own action is a sample; the
    actions of the others are recorded. The actor loss does not train the critic, whose parameters
    are detached in it, and the critic loss does not train the actor. See `TDLoss` for termination
    and normalization.

    Where a transition has a `mask` `[*B, N]`, dead agents (False) do not count: not in the losses,
    the diagnostics or the normalization. Their value is 0 in the next state. Where the next state
    has `bootstrap` `[*B, N]`, that decides instead whose next value counts.

    Args:
        actor, critic: the loss owns their parameters; their targets are frozen copies, see
            `update_targets`. The critic is built for `actor.actions`. Keys are of the actor's
            group.
        **options: see `MADDPGOptions`; β is `entropy`.

    Output:
        `loss_actor`, `loss_critic`, and as detached diagnostics `target` (mean y, in reward
        units), `error` (mean |Q − y|, normalized) and, of discrete actions, `entropy`.
    """

    @dataclass
    class _AcceptedKeys:
        state: NestedKey = ("agents", "state")
        reward: NestedKey = ("agents", "reward")
        terminated: NestedKey = "terminated"
        mask: NestedKey = ("agents", "mask")
        bootstrap: NestedKey = ("agents", "bootstrap")

    default_keys = _AcceptedKeys
    actor: CategoricalActor | DeterministicActor
    critic: JointCritic
    target_actor: CategoricalActor | DeterministicActor
    target_critic: JointCritic

    def __init__(
        self, actor: CategoricalActor | DeterministicActor, critic: JointCritic, **options: Any
    ):
        super().__init__()
        kinds = CategoricalActor | DeterministicActor
        wanted = "a CategoricalActor or a DeterministicActor"
        require_kind("MADDPGLoss", "actor", actor, kinds, wanted)
        require_kind("MADDPGLoss", "critic", critic, JointCritic, "a JointCritic")
        settings = configure(MADDPGOptions, options, "MADDPGLoss")
        self.actor = actor
        self.critic = critic
        self.target_actor = frozen_copy(actor)
        self.target_critic = frozen_copy(critic)
        self.set_td_options(settings, (actor.arguments["n_agents"], 1))
        self.temperature = settings.temperature
        self.entropy = settings.entropy
        self.set_keys(**keys_of_group(self.default_keys(), actor.group))
        self.out_keys = ["loss_actor", "loss_critic", "target", "error"]
        if isinstance(actor, CategoricalActor):
            self.out_keys.append("entropy")

    @property
    def target_pairs(self) -> tuple[tuple[nn.Module, nn.Module], ...]:
        return (self.target_actor, self.actor), (self.target_critic, self.critic)

    @property
    def batch_keys(self) -> list[NestedKey]:
        return self.keys_with(self.tensor_keys.state)

    @property
    def optional_keys(self) -> list[NestedKey]:
        keys = self.tensor_keys
        return [keys.mask, next_key(keys.mask), next_key(keys.bootstrap)]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        tensordict = self.transitions(tensordict)
        keys = self.tensor_keys
        state = need(tensordict, keys.state)
        action = self.actor.actions.encode(need(tensordict, self.actor.out_keys[0]), state)
        living = alive(tensordict, keys.mask, state.shape[-2])
        if self.norm is not None and self.training:
            self.norm.update(per_agent(tensordict, next_key(keys.reward)), living)
        target = self.target(tensordict)
        error, loss = self.error_and_loss(self.critic(state, action.flatten(1)), target)
        sample, entropy = self.actor.relaxed(tensordict, self.temperature)
        gain = self.gain(state, action, sample)
        if living is not None:
            gain = gain.masked_fill(~living.squeeze(-1), 0)
            loss = loss.masked_fill(~living, 0)
        values = {"target": target.squeeze(-1), "error": error.squeeze(-1).abs()}
        objective = team_mean(gain)
        if entropy is not None:
            if living is not None:
                entropy = entropy.masked_fill(~living.squeeze(-1), 0)
            objective = objective + self.entropy * team_mean(entropy)
            values["entropy"] = entropy
        terms = {"loss_actor": -objective, "loss_critic": team_mean(loss.squeeze(-1))}
        return TensorDict({**terms, **mean_diagnostics(living, **values)})

    def gain(self, state: Tensor, action: Tensor, sample: Tensor) -> Tensor:
        """Q_i(s, a_1 .. ã_i .. a_N) `[B, N]`, whose gradient reaches the samples alone.

        Args:
            state: `[B, N, D]`.
            action, sample: vectors of recorded and sampled actions `[B, N, A]`.
        """
        detached = {name: p.detach() for name, p in self.critic.named_parameters()}
        inputs = (state, own_replaced(action, sample))
        return torch.func.functional_call(self.critic, detached, inputs).squeeze(-1)

    @torch.no_grad()
    def target(self, tensordict: TensorDictBase) -> Tensor:
        """y `[B, N, 1]` of transitions, in reward units."""
        keys = self.tensor_keys
        later: Any = need(tensordict, "next")
        action = self.target_actor.vectors(self.seen_by_target(later))
        future = self.to_return(self.target_critic(need(later, keys.state), action.flatten(1)))
        counts = keys.bootstrap if later.get(keys.bootstrap, None) is not None else keys.mask
        living = alive(later, counts, action.shape[-2])
        if living is not None:
            future = future.masked_fill(~living, 0)
        terminated = of_team(later, keys.terminated).unsqueeze(-1)
        return self.bootstrapped(per_agent(later, keys.reward), terminated, future)


def own_replaced(action: Tensor, sample: Tensor) -> Tensor:
    """One joint action per critic i, in which agent i's action is the sample.

    Args:
        action, sample: vectors of actions `[B, N, A]`.

    Returns:
        `[N, B, N·A]`, the first axis over critics.
    """
    n_agents = action.shape[-2]
    own = torch.eye(n_agents, dtype=torch.bool, device=action.device)[:, None, :, None]
    return torch.where(own, sample, action).flatten(2)
