"""`ActionValueLoss`: the regression that makes the attention mean something, beside any policy loss."""

from dataclasses import dataclass

from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torchrl.objectives.common import LossModule

from ilvf.credit.signals import alive, need, per_agent
from ilvf.errors import require
from ilvf.losses.functional import huber, team_mean
from ilvf.modules import InfluenceCritic


class ActionValueLoss(LossModule):
    """L = c Σ_i mean_B ℓ(Q_i(s, a), G_i), ℓ = Huber: the second half of eq. 9, for pipelines that regress V.

    TorchRL's losses train a critic's V. What shapes an `InfluenceCritic`'s attention is Q, whose states go through it
    with noise; add this loss to theirs. It shares its parameters with them: a TorchRL loss built on the same critic's
    `value_module()` has all of them in its `parameters()`.

    Args:
        critic: an `InfluenceCritic`.
        group, state_key: where the states are; `state_key="observation"` for an environment without states.
        coeff: c.
        huber_delta: δ, in units of the value target.

    Where the tensordict has a mask `(group, "mask")` `[*B, N]`, only agents that are alive (True) count.

    Output: `loss_action_value`.
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
        huber_delta: float = 10.0,
    ):
        super().__init__()
        require(
            isinstance(critic, InfluenceCritic),
            f"ActionValueLoss needs an InfluenceCritic, which has a Q; found {type(critic).__name__}",
        )
        require(coeff >= 0, f"coeff={coeff} must not be negative")
        require(huber_delta > 0, f"huber_delta={huber_delta} must be positive; Table 1 has 10")
        self.critic, self.state_key, self.action_key = critic, (group, state_key), (group, "action")
        self.coeff, self.huber_delta = coeff, huber_delta
        self.set_keys(value_target=(group, "value_target"), mask=(group, "mask"))
        self.in_keys = [self.state_key, self.action_key, self.tensor_keys.value_target]
        self.out_keys = ["loss_action_value"]

    @property
    def functional(self) -> bool:
        return False

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        state = need(
            tensordict, self.state_key, "An environment without states: state_key='observation'"
        )
        _, value = self.critic.predict(state, need(tensordict, self.action_key))
        target = per_agent(tensordict, self.tensor_keys.value_target)
        error = huber(value - target, self.huber_delta)
        living = alive(tensordict, self.tensor_keys.mask, error.shape[-2])
        error = error if living is None else error.masked_fill(~living, 0)
        return TensorDict({"loss_action_value": self.coeff * team_mean(error.squeeze(-1))})
