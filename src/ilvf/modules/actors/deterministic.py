"""`DeterministicActor` for a `Box`, and `NoisyActor`, which explores with it."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.data import Bounded, Composite
from torchrl.modules import AdditiveGaussianModule, OrnsteinUhlenbeckProcessModule

from ilvf.errors import require, require_choice
from ilvf.modules.actions import Box
from ilvf.modules.actors.gaussian import require_box
from ilvf.modules.actors.network import NetworkActor, deterministic_mode
from ilvf.options.arguments import require_kind

REVERSION = 0.15  # θ of the Ornstein-Uhlenbeck process (Lillicrap et al., 2016)


class DeterministicActor(NetworkActor):
    """Deterministic policies of all agents over the actions of a `Box`:  u_i = tanh f_i(LN(o_i)).

    With `recurrent`, f_i reads the agent's hidden state too, see `NetworkActor`.

    u is in units of half the range of an action (see `Box`). Reads `(group, "observation")`
    `[*B, N, Do]`, writes `(group, "action")` `[*B, N, A]`, within the bounds.

    Args:
        n_agents, observation_dim: N, Do.
        actions: the `Box`.
        **options: see `NetworkActor`.

    Raises:
        UsageError: actions that are no Box, or a Box of another number of agents.
    """

    written = ("action",)
    actions: Box

    def __init__(self, n_agents: int, observation_dim: int, actions: Box, **options: Any):
        require_box(actions, "DeterministicActor")
        super().__init__(n_agents, observation_dim, actions, **options)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = self.actions.denormalize(self.bounded(self.act(tensordict)))
        return tensordict.set(self.out_keys[0], action)

    def best(self, outputs: Tensor) -> Tensor:
        """The action at tanh of the outputs, `[*B, N, A]`."""
        return self.actions.denormalize(outputs.tanh())

    def vectors(self, tensordict: TensorDictBase) -> Tensor:
        """u `[*B, N, A]` of a tensordict's steps, each with its own hidden state, if any."""
        return self.bounded(self.outputs(**self.inputs(tensordict)))

    def bounded(self, outputs: Tensor) -> Tensor:
        """u `[*B, N, A]` from the outputs of the networks; 0 for fixed components."""
        u = outputs.tanh()
        return u.to(self.actions.low.dtype).masked_fill(~self.actions.free, 0)

    def relaxed(
        self, tensordict: TensorDictBase, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """u with its gradient, and no entropy; the temperature has no effect."""
        return self.vectors(tensordict), None


class NoisyActor(TensorDictModuleBase):
    """A deterministic actor with exploration noise:  u'_t = clip(u_t + ε n_t) to [−1, 1].

        gaussian    n_t ~ Normal(0, 1)
        ou          n_t = (1 − θ) n_{t−1} + sqrt(θ (2 − θ)) w_t,    w_t ~ Normal(0, 1)

    Both have a standard deviation of 1 in the long run, so that ε means the same. The
    Ornstein-Uhlenbeck process starts at 0 and goes on across episodes. The noise is TorchRL's
    `AdditiveGaussianModule` and `OrnsteinUhlenbeckProcessModule`. There is none in a
    `deterministic_mode`.

    Args:
        actor: a `DeterministicActor`.
        noise: `gaussian` or `ou`.

    Attributes:
        process: n and the number of its steps, of an Ornstein-Uhlenbeck process that has begun.
    """

    def __init__(self, actor: DeterministicActor, noise: Literal["gaussian", "ou"] = "gaussian"):
        super().__init__()
        require_kind("NoisyActor", "actor", actor, DeterministicActor, "a DeterministicActor")
        require_choice("noise", noise, ("gaussian", "ou"))
        self.actor = actor
        self.actions = actor.actions
        self.in_keys = actor.in_keys
        self.out_keys = actor.out_keys
        low = actor.actions.low
        spec = Composite(action=Bounded(-1.0, 1.0, low.shape, device=low.device, dtype=low.dtype))
        self.noise: TensorDictModuleBase
        if noise == "gaussian":
            self.noise = AdditiveGaussianModule(spec, sigma_end=0.0, device=low.device)
            self.size = "sigma"  # name of its ε
        else:
            self.noise = OrnsteinUhlenbeckProcessModule(
                spec,
                eps_end=0.0,
                theta=REVERSION,
                sigma=(REVERSION * (2 - REVERSION)) ** 0.5,
                dt=1.0,
                device=low.device,
            )
            self.size = "eps"
        self.process: dict[str, Tensor] = {}

    @property
    def epsilon(self) -> Tensor:
        """ε, a buffer; `epsilon.fill_(x)` sets it."""
        return getattr(self.noise, self.size)

    def restore(self, process: Mapping[str, Tensor], batch: Sequence[int]) -> None:
        """Continue a saved process in a batch of environments of this size.

        Raises:
            UsageError: the process has other entries or shapes.
        """
        names = self.noise.out_keys[1:]
        if not names:  # Gaussian noise has no memory
            return
        shapes = ((*batch, *self.actions.low.shape), tuple(batch))
        found = {name: tuple(value.shape) for name, value in process.items()}
        need = dict(zip(names, shapes, strict=True))
        require(found in ({}, need), f"its entries are {found}, need {need}")
        self.process = {name: x.to(self.actions.low.device) for name, x in process.items()}

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        if deterministic_mode():
            return self.actor(tensordict)
        u = self.actor.bounded(self.actor.act(tensordict))
        batch = tensordict.batch_size
        begins = torch.zeros(*batch, 1, dtype=torch.bool, device=u.device)
        step = TensorDict({"action": u, "is_init": begins, **self.process}, batch)
        step = self.noise(step)
        self.process = {name: step[name] for name in self.noise.out_keys[1:]}
        return tensordict.set(self.out_keys[0], self.actions.denormalize(step["action"]))
