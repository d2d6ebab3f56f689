"""Untrained controllers of traffic signals: baselines for a learner.

N signals, A phases of the signal with most phases, D entries of the longest wave. Entries and
phases that a signal does not have are 0.
"""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.traffic.network.network import Signal
from ilvf.envs.traffic.senses import Senses, entries
from ilvf.envs.traffic.simulator.sumo_process import GREEN
from ilvf.errors import require

HOLD = 5  # steps for which a fixed cycle shows a phase


class FixedCycle(TensorDictModuleBase):
    """Every signal shows its phases in turn, see `cycle`.

    Reads the step from `("episode", "length")` `[*B, 1]`.

    Args:
        senses: of the environment.
        hold: steps that a phase lasts.
        group: key of the agents.
    """

    plans: Tensor
    lengths: Tensor

    def __init__(self, senses: Senses, hold: int = HOLD, *, group: str = "agents"):
        super().__init__()
        require(hold >= 1, f"hold={hold} must be at least 1 step")
        self.hold = hold
        self.in_keys = [("episode", "length")]
        self.out_keys = [(group, "action")]
        plans = [cycle(signal) for signal in senses.network.signals]
        longest = max(len(plan) for plan in plans)
        padded = [plan + [0] * (longest - len(plan)) for plan in plans]
        self.register_buffer("plans", torch.tensor(padded))  # [N, longest]
        self.register_buffer("lengths", torch.tensor([len(plan) for plan in plans]))  # [N]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        step = tensordict.get(self.in_keys[0]).long()  # [*B, 1]
        turn = (step // self.hold) % self.lengths  # [*B, N]
        plans = self.plans.expand(*turn.shape, -1)
        action = plans.gather(-1, turn.unsqueeze(-1)).squeeze(-1)
        return tensordict.set(self.out_keys[0], action)


def cycle(signal: Signal) -> list[int]:
    """The phases of a fixed cycle, in order: those that serve a link no earlier phase serves.

    Without such a phase it is phase 0 alone.
    """
    plan: list[int] = []
    served: set[int] = set()
    for action, phase in enumerate(signal.phases):
        green = {link for link, k in enumerate(signal.link_indices) if phase[k] in GREEN}
        if green - served:
            plan.append(action)
            served |= green
    return plan or [0]


class Greedy(TensorDictModuleBase):
    """Every signal shows the phase that serves most vehicles; of equal ones the first.

    All vehicles on the approach lanes count, moving ones too, as waves do. Their routes are
    unknown, so those of a lane are spread evenly over its links; a permissive green (`g`) counts
    like any other. Reads the waves `(group, "state")` `[*B, N, D]`.

    Args:
        senses: of the environment.
        group: key of the agents.
    """

    serves: Tensor
    vehicles: Tensor
    exists: Tensor

    def __init__(self, senses: Senses, *, group: str = "agents"):
        super().__init__()
        self.in_keys = [(group, "state")]
        self.out_keys = [(group, "action")]
        signals = senses.network.signals
        phases = torch.tensor([len(signal.phases) for signal in signals])
        most_phases = int(phases.max())
        longest = max(senses.sizes)
        serves = torch.zeros(len(signals), most_phases, longest)
        vehicles = torch.zeros(len(signals), longest)
        for i, signal in enumerate(signals):
            lanes = entries(signal, senses.per)
            capacity = [senses.capacity_of(lane) for lane in lanes]
            vehicles[i, : len(lanes)] = torch.tensor(capacity)
            for k, phase in enumerate(signal.phases):
                serves[i, k, : len(lanes)] = torch.tensor(shares(signal, phase, senses.per))
        self.register_buffer("serves", serves)  # share of an entry's vehicles that a phase serves
        self.register_buffer("vehicles", vehicles)  # at which a wave is 1
        self.register_buffer("exists", torch.arange(most_phases) < phases.unsqueeze(-1))  # [N, A]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        demand = self.demand(tensordict.get(self.in_keys[0]) * self.vehicles)  # [*B, N, D]
        score = torch.einsum("nad,...nd->...na", self.serves, demand)
        action = score.masked_fill(~self.exists, -torch.inf).argmax(-1)
        return tensordict.set(self.out_keys[0], action)

    def demand(self, vehicles: Tensor) -> Tensor:
        """The weight of every entry in a phase's score, `[*B, N, D]`.

        Args:
            vehicles: vehicles on every entry's lane, `[*B, N, D]`.
        """
        return vehicles


def shares(signal: Signal, phase: str, per: str) -> list[float]:
    """For every entry of a wave the share of its lane's vehicles that a phase serves."""
    lanes = signal.link_lanes
    by_link = [
        (phase[k] in GREEN) / lanes.count(lane)
        for k, lane in zip(signal.link_indices, lanes, strict=True)
    ]
    if per == "link":
        return by_link
    by_lane = dict.fromkeys(signal.lanes, 0.0)
    for share, lane in zip(by_link, lanes, strict=True):
        by_lane[lane] += share
    return list(by_lane.values())


class MaxPressure(Greedy):
    """As `Greedy`, minus the vehicles on the lanes that an approach leads to (Varaiya 2013).

    Only observed vehicles count: a lane that approaches no signal counts as empty.

    Args:
        senses: of the environment.
        group: key of the agents.
    """

    leads_to: Tensor
    ways: Tensor

    def __init__(self, senses: Senses, *, group: str = "agents"):
        super().__init__(senses, group=group)
        signals = senses.network.signals
        n, d = self.vehicles.shape
        entry_of: dict[str, int] = {}  # lane → its first entry among those of all signals
        for i, signal in enumerate(signals):
            for k, lane in enumerate(entries(signal, senses.per)):
                entry_of.setdefault(lane, i * d + k)
        empty = n * d  # a lane that approaches no signal
        targets = [
            [targets_of(signal, k, senses.per) for k in range(size)]
            for signal, size in zip(signals, senses.sizes, strict=True)
        ]
        most = max(len(lanes) for row in targets for lanes in row)
        leads_to = torch.full((n, d, most), empty)
        ways = torch.ones(n, d)
        for i, row in enumerate(targets):
            for k, lanes in enumerate(row):
                after = [entry_of.get(lane, empty) for lane in lanes]
                leads_to[i, k, : len(lanes)] = torch.tensor(after)
                ways[i, k] = len(lanes)
        self.register_buffer("leads_to", leads_to)  # [N, D, most], entries of all signals
        self.register_buffer("ways", ways)  # [N, D], number of lanes that it leads to

    def demand(self, vehicles: Tensor) -> Tensor:
        """Vehicles on an entry's lane − mean of those on the lanes that it leads to."""
        all_signals = torch.nn.functional.pad(vehicles.flatten(-2), (0, 1))  # the last is `empty`
        return vehicles - all_signals[..., self.leads_to].sum(-1) / self.ways


def targets_of(signal: Signal, entry: int, per: str) -> list[str]:
    """The lanes that an entry of a wave leads to."""
    if per == "link":
        return [signal.link_targets[entry]]
    lane = signal.lanes[entry]
    pairs = zip(signal.link_lanes, signal.link_targets, strict=True)
    return [target for origin, target in pairs if origin == lane]
