"""Rule-based controllers of CACC, as baselines for learned policies."""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.cacc.physics import DT, GAINS, MAX_ACCEL, RELATIVE_SPEED
from ilvf.envs.options import CACCOptions
from ilvf.errors import require_choice

LINEAR_GAINS = {  # from a search for the least cost over the six fixed starts
    "catch-up": (0.7, 0.52, 2.1, 1.07),
    "slow-down": (0.96, 0.27, 6.1, 3.3),
}


class Constant(TensorDictModuleBase):
    """The same action always, for all vehicles.

    Reads `(group, "state")` `[*B, N, 5]` for its shape; writes `(group, "action")` `[*B, N]`.

    Args:
        action: index of the action; 3 is (α, β) = (0.5, 0.5).
        group: name of the agents' group.
    """

    def __init__(self, action: int = 3, *, group: str = "agents"):
        super().__init__()
        self.action = action
        self.in_keys = [(group, "state")]
        self.out_keys = [(group, "action")]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        state = tensordict.get(self.in_keys[0])
        action = torch.full(state.shape[:-1], self.action, device=state.device)
        return tensordict.set(self.out_keys[0], action)


class Linear(TensorDictModuleBase):
    """The action whose acceleration is nearest to a linear feedback:

        u* = k_1 (h − h*) + k_2 (v* − v) + k_3 (v_front − v) + k_4 (v_front's front − v_front)

    Reads `(group, "state")` `[*B, N, 5]`, of the vehicle and of the one in front; writes
    `(group, "action")` `[*B, N]`. The last term is 0 for the first vehicle. Relative speeds are
    clipped to ±10 m/s, as in the states.

    Args:
        gains: name of a scenario, for gains that were searched for it, or k_1 [1/s²], k_2, k_3 and
            k_4 [1/s].
        target_headway: h* [m].
        target_speed: v* [m/s].
        group: name of the agents' group.

    Raises:
        UsageError: `gains` is a word, but no scenario.
    """

    gains: Tensor
    offered: Tensor

    def __init__(
        self,
        gains: str | tuple[float, float, float, float] = "catch-up",
        *,
        target_headway: float = CACCOptions.target_headway,
        target_speed: float = CACCOptions.target_speed,
        group: str = "agents",
    ):
        super().__init__()
        if isinstance(gains, str):
            require_choice("gains", gains, tuple(LINEAR_GAINS))
            gains = LINEAR_GAINS[gains]
        self.target_headway = target_headway
        self.target_speed = target_speed
        self.in_keys = [(group, "state")]
        self.out_keys = [(group, "action")]
        self.register_buffer("gains", torch.tensor(gains))
        self.register_buffer("offered", torch.tensor(GAINS))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        speed, closing, to_suitable, headway, _ = tensordict.get(self.in_keys[0]).unbind(-1)
        closing = RELATIVE_SPEED * closing  # [m/s]
        to_suitable = RELATIVE_SPEED * to_suitable  # [m/s]
        closing_in_front = torch.nn.functional.pad(closing[..., :-1], (1, 0))
        headway_error = self.target_headway * headway - DT * closing  # [m]
        speed_error = -self.target_speed * speed  # [m/s]
        errors = torch.stack([headway_error, speed_error, closing, closing_in_front], -1)
        wish = (errors * self.gains).sum(-1, keepdim=True)  # [*B, N, 1]
        alpha, beta = self.offered
        offer = to_suitable.unsqueeze(-1) * alpha + closing.unsqueeze(-1) * beta  # [*B, N, 4]
        miss = offer.clamp(-MAX_ACCEL, MAX_ACCEL) - wish.clamp(-MAX_ACCEL, MAX_ACCEL)
        return tensordict.set(self.out_keys[0], miss.abs().argmin(-1))
