"""Controllers of traffic signals that nobody trained: what a learner should beat.

N signals, A phases of the signal with most, D numbers in the longest wave; what a signal does not have is 0.
"""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.traffic.network.network import Signal
from ilvf.envs.traffic.senses import Senses, entries
from ilvf.envs.traffic.simulator.sumo_process import GREEN
from ilvf.errors import require

HOLD = 5  # steps that a fixed cycle shows a phase


class FixedCycle(TensorDictModuleBase):
    """Every signal goes through its phases in turn, leaving out those that serve no link that the ones before do not.

    Reads the step from `("episode", "length")` `[*B, 1]`.

    Args:
        senses: of the environment.
        hold: steps that a phase lasts.
    """

    plans: Tensor
    lengths: Tensor

    def __init__(self, senses: Senses, hold: int = HOLD, *, group: str = "agents"):
        super().__init__()
        require(hold >= 1, f"hold={hold} must be at least 1 step")
        self.hold = hold
        self.in_keys, self.out_keys = [("episode", "length")], [(group, "action")]
        plans = [cycle(signal) for signal in senses.network.signals]
        longest = max(map(len, plans))
        self.register_buffer(
            "plans", torch.tensor([p + [0] * (longest - len(p)) for p in plans])
        )  # [N, longest]
        self.register_buffer("lengths", torch.tensor([len(p) for p in plans]))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        step = tensordict.get(self.in_keys[0]).long()  # [*B, 1]
        turn = (step // self.hold) % self.lengths  # [*B, N]
        plans = self.plans.expand(*turn.shape, -1)
        return tensordict.set(self.out_keys[0], plans.gather(-1, turn.unsqueeze(-1)).squeeze(-1))


def cycle(signal: Signal) -> list[int]:
    """The phases that are needed to serve every link, in order; the first of a signal that serves none."""
    plan, served = list[int](), set[int]()
    for a, phase in enumerate(signal.phases):
        new = {link for link, k in enumerate(signal.link_indices) if phase[k] in GREEN} - served
        if new:
            plan.append(a)
            served |= new
    return plan or [0]


class Greedy(TensorDictModuleBase):
    """Every signal shows the phase that lets most of the waiting vehicles go, the first of equal ones.

    Where they want to go is not seen: they count as spread evenly over the ways that their lane has.
    Reads the waves `(group, "state")` `[*B, N, D]`.
    """

    serves: Tensor
    vehicles: Tensor
    exists: Tensor

    def __init__(self, senses: Senses, *, group: str = "agents"):
        super().__init__()
        self.in_keys, self.out_keys = [(group, "state")], [(group, "action")]
        signals = senses.network.signals
        shape = (len(signals), max(len(s.phases) for s in signals), max(senses.sizes))
        serves, vehicles = torch.zeros(shape), torch.zeros(shape[0], shape[2])
        for i, signal in enumerate(signals):
            own = entries(signal, senses.per)
            vehicles[i, : len(own)] = torch.tensor([senses.capacity_of(lane) for lane in own])
            for a, phase in enumerate(signal.phases):
                serves[i, a, : len(own)] = torch.tensor(shares(signal, phase, senses.per))
        self.register_buffer("serves", serves)
        self.register_buffer("vehicles", vehicles)  # at which waves are 1
        count = torch.tensor([len(s.phases) for s in signals])
        self.register_buffer("exists", torch.arange(shape[1]) < count.unsqueeze(-1))  # [N, A]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        waiting = self.demand(tensordict.get(self.in_keys[0]) * self.vehicles)  # [*B, N, D]
        score = torch.einsum("nad,...nd->...na", self.serves, waiting)
        return tensordict.set(
            self.out_keys[0], score.masked_fill(~self.exists, -torch.inf).argmax(-1)
        )

    def demand(self, vehicles: Tensor) -> Tensor:
        """What calls for green, from the vehicles on every link's or lane's approach, `[*B, N, D]` each."""
        return vehicles


def shares(signal: Signal, phase: str, per: str) -> list[float]:
    """For every number of the wave the part of its lane's vehicles that a phase lets go."""
    lanes = signal.link_lanes
    part = [
        (phase[k] in GREEN) / lanes.count(lane)
        for k, lane in zip(signal.link_indices, lanes, strict=True)
    ]
    if per == "link":
        return part
    return [
        sum(p for p, origin in zip(part, lanes, strict=True) if origin == lane)
        for lane in signal.lanes
    ]


class MaxPressure(Greedy):
    """As `Greedy`, but vehicles on the lanes that an approach leads to count against it (Varaiya 2013).

    Only what signals see is known: those lanes are empty unless they approach another signal.
    """

    leads_to: Tensor
    ways: Tensor

    def __init__(self, senses: Senses, *, group: str = "agents"):
        super().__init__(senses, group=group)
        signals, size = senses.network.signals, self.vehicles.shape[1]
        place: dict[str, int] = {}  # of a lane's number among all signals'
        for i, signal in enumerate(signals):
            for e, lane in enumerate(entries(signal, senses.per)):
                place.setdefault(lane, i * size + e)
        nothing = len(signals) * size
        targets = [
            [_targets(s, e, senses.per) for e in range(n)]
            for s, n in zip(signals, senses.sizes, strict=True)
        ]
        most = max(len(t) for row in targets for t in row)
        leads_to = torch.full((len(signals), size, most), nothing)
        ways = torch.ones(len(signals), size)
        for i, row in enumerate(targets):
            for e, lanes in enumerate(row):
                leads_to[i, e, : len(lanes)] = torch.tensor(
                    [place.get(lane, nothing) for lane in lanes]
                )
                ways[i, e] = len(lanes)
        self.register_buffer(
            "leads_to", leads_to
        )  # [N, D, most], into all signals' numbers and a zero behind them
        self.register_buffer("ways", ways)

    def demand(self, vehicles: Tensor) -> Tensor:
        everywhere = torch.nn.functional.pad(vehicles.flatten(-2), (0, 1))
        return vehicles - everywhere[..., self.leads_to].sum(-1) / self.ways


def _targets(signal: Signal, entry: int, per: str) -> list[str]:
    """The lanes that a wave's number `entry` leads to."""
    if per == "link":
        return [signal.link_targets[entry]]
    lane = signal.lanes[entry]
    return [
        target
        for origin, target in zip(signal.link_lanes, signal.link_targets, strict=True)
        if origin == lane
    ]
