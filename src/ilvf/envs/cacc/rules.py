"""Controllers of CACC that nobody trained: what a learner should beat."""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.cacc.physics import DT, GAINS, HEADWAY, MAX_ACCEL, SPEED
from ilvf.errors import require_choice

LINEAR_GAINS = {  # from a search for the least cost over the six fixed starts
    "catch-up": (0.7, 0.52, 2.1, 1.07),
    "slow-down": (0.96, 0.27, 6.1, 3.3),
}


class Constant(TensorDictModuleBase):
    """Always the same action, by default (α, β) = (0.5, 0.5)."""

    def __init__(self, action: int = 3, *, group: str = "agents"):
        super().__init__()
        self.action = action
        self.in_keys, self.out_keys = [(group, "state")], [(group, "action")]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        state = tensordict.get(self.in_keys[0])
        return tensordict.set(
            self.out_keys[0], torch.full(state.shape[:-1], self.action, device=state.device)
        )


class Linear(TensorDictModuleBase):
    """Of the four actions, the one whose acceleration is nearest to a linear feedback:

        u* = k_1 (h − 20 m) + k_2 (15 m/s − v) + k_3 (v_front − v) + k_4 (v_front's front − v_front)

    Everything is read from the states `(group, "state")` `[*B, N, 5]` of the vehicle and of the one in front; the last
    term is 0 for the first vehicle. (Relative speeds beyond 10 m/s count as 10, as they do in the states.)

    Args:
        gains: a scenario's name, for gains that were searched for it, or k_1 [1/s²], k_2, k_3 and k_4 [1/s].
    """

    gains: Tensor
    offered: Tensor

    def __init__(
        self, gains: str | tuple[float, float, float, float] = "catch-up", *, group: str = "agents"
    ):
        super().__init__()
        if isinstance(gains, str):
            require_choice("gains", gains, tuple(LINEAR_GAINS))
            gains = LINEAR_GAINS[gains]
        self.in_keys, self.out_keys = [(group, "state")], [(group, "action")]
        self.register_buffer("gains", torch.tensor(gains))
        self.register_buffer("offered", torch.tensor(GAINS))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        speed, closing, to_suitable, headway, _ = tensordict.get(self.in_keys[0]).unbind(-1)
        closing, to_suitable = 5 * closing, 5 * to_suitable  # [m/s]
        in_front = torch.nn.functional.pad(closing[..., :-1], (1, 0))
        errors = torch.stack(
            [HEADWAY * headway - DT * closing, -SPEED * speed, closing, in_front], -1
        )
        wish = (errors * self.gains).sum(-1, keepdim=True)
        offer = (
            to_suitable.unsqueeze(-1) * self.offered[0] + closing.unsqueeze(-1) * self.offered[1]
        )
        miss = offer.clamp(-MAX_ACCEL, MAX_ACCEL) - wish.clamp(-MAX_ACCEL, MAX_ACCEL)
        return tensordict.set(self.out_keys[0], miss.abs().argmin(-1))
