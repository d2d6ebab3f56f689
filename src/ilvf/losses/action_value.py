"""`ActionValueLoss`: the auxiliary Q loss that trains the attention, next to any policy loss."""

from dataclasses import dataclass

from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torchrl.objectives.common import LossModule

from ilvf.credit.signals import alive, need, per_agent
from ilvf.errors import require
from ilvf.losses.options import PPOOptions
from ilvf.losses.ppo import huber, team_mean
from ilvf.modules import InfluenceCritic


class ActionValueLoss(LossModule):
    """Regression of Q, the second half of eq. 9:  L = c Σ_i mean_B ℓ(Q_i(s, a), G_i),  ℓ = Huber.

    TorchRL's losses train a critic's V. The attention of an `InfluenceCritic` is trained by its Q,
    which reads the states through noisy weights; add this loss to theirs. The critic's parameters
    are shared: a TorchRL loss that is built on the same critic's `value_module()` has all of them
    in its `parameters()`.

    Where the tensordict has a mask `(group, "mask")` `[*B, N]`, dead agents (False) do not count.

    Args:
        critic: an `InfluenceCritic`.
        group, state_key: key of the states; `state_key="observation"` for an environment without
            states.
        coeff: c.
        huber_delta: δ, in units of the value target.

    Output:
        `loss_action_value`.

    Raises:
        UsageError: another critic, or a coefficient out of bounds.
    """

    @dataclass
    class _AcceptedKeys:
        value_target: NestedKey = ("agents", "value_target")
        mask: NestedKey = ("agents", "mask")

    default_keys = _AcceptedKeys
    critic: InfluenceCritic

    def __init__(
        self,
        critic: InfluenceCritic,
        *,
        group: str = "agents",
        state_key: str = "state",
        coeff: float = 1.0,
        huber_delta: float = PPOOptions.huber_delta,
    ):
        super().__init__()
        found = type(critic).__name__
        require(
            isinstance(critic, InfluenceCritic),
            f"ActionValueLoss needs an InfluenceCritic, which has a Q; found {found}",
        )
        require(coeff >= 0, f"coeff={coeff} must not be negative")
        require(huber_delta > 0, f"huber_delta={huber_delta} must be positive; Table 1 has 10")
        self.critic = critic
        self.state_key = (group, state_key)
        self.action_key = (group, "action")
        self.coeff = coeff
        self.huber_delta = huber_delta
        self.set_keys(value_target=(group, "value_target"), mask=(group, "mask"))
        self.in_keys = [self.state_key, self.action_key, self.tensor_keys.value_target]
        self.out_keys = ["loss_action_value"]

    @property
    def functional(self) -> bool:
        """False: the loss uses its modules and has no separate parameters (see TorchRL)."""
        return False

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        hint = "An environment without states: state_key='observation'"
        state = need(tensordict, self.state_key, hint)
        action = need(tensordict, self.action_key)
        target = per_agent(tensordict, self.tensor_keys.value_target)
        _, value = self.critic.predict(state, action)
        error = huber(value - target, self.huber_delta)
        living = alive(tensordict, self.tensor_keys.mask, error.shape[-2])
        if living is not None:
            error = error.masked_fill(~living, 0)
        return TensorDict({"loss_action_value": self.coeff * team_mean(error.squeeze(-1))})
