"""Adaptive traffic signal control: every signal of a road network is an agent; SUMO simulates it.

N signals. Each observes how many vehicles there are at its junction, and chooses every 5 s which of
them may go.

**Actions**: the green phases of the signal. Signals have different numbers of them.

**Step** of `control_interval` (5 s): first a transition of `yellow` (2 s), in which links that lose
green are yellow and links that gain green keep their letter, then the chosen phase. With
`priority_waits` (the default but for Monaco) links that give way keep their letter, too, before
they get priority. A signal at which no link loses green shows the chosen phase at once. Before the
first step every signal counts as showing phase 0.

**Wave** of an approach lane: how full its end is.

| `detectors` | wave | counted vehicles |
|---|---|---|
| true | vehicles / 5, at most 2 | on the lane-area detector with the lane's id |
| false (default) | vehicles / (length / 7.5 m), no limit | on the lane and on its extensions |

**State** s_i: the wave of every link of the signal, in SUMO's order. A lane with several links
(right, straight, left) is listed, and pays, once per link; with `per="lane"` it is listed once.

**Observation**: the signal's own state, then the states of its neighbours in their order. With
`observe_neighbors=False` the own state only.

**Reward** r_i at the end of the step, `reward_scale` × a sum over the same links or lanes:

| `reward` | |
|---|---|
| `queue` (default) | −halting vehicles (below 0.1 m/s), at most `reward_cap` per link or lane |
| `wait` | −time [s] for which the vehicles on the approach lanes have been halting |
| `pressure` | −abs(density of the approach lanes − density of the lanes that links lead to) |

A density is 1 for one vehicle per 7.5 m. `queue`, the published reward, does not count vehicles
that find no room to enter the network, so a team can gain by keeping them out. It counts on
approach lanes alone, not on their extensions: behind a turn lane of a few metres most of a jam
costs nothing, and `link_queue` shows it. With `detectors=True` a vehicle halts by the thresholds of
the detectors (SUMO's default is 1.39 m/s; `speedThreshold="0.1"` gives that of lanes). With
`reward_backlog=True` a signal also pays for the vehicles that wait to enter on the edges leading to
it; vehicles that wait to enter elsewhere cost nothing.

**End**: truncated after `seconds` (3600). If the simulator crashes, reports an error or gives no
answer within `timeout` (60 s), the episode is truncated at that step with reward 0 and the last
observation, and a warning gives the cause. The start of a simulator may take 300 s. The next
episode gets a new simulator. `attempts` (3) such episodes in a row raise a `UsageError`; so does an
error of SUMO at a reset, such as files that do not fit.

**Statistics** of the episode so far:

| | |
|---|---|
| `queue` | halting vehicles per approach lane or detector, mean over lanes and steps |
| `speed` | [m/s], mean over running vehicles and steps |
| `travel_time` | [s], mean over finished trips, without the wait to enter; 0 without trips |
| `throughput` | number of finished trips |
| `running` | vehicles on the roads now |
| `backlog` | vehicles that wait outside for room to enter now |
| `teleports` | vehicles that SUMO has taken out of a jam |
| `interrupted` | 1 if the simulator was lost |
| `link_queue` | only with `link_queue=True`, as published: see below |

`link_queue`, the `avg_queue` of the published environment, is the number of halting vehicles on the
approach lane of a link and on its extensions, mean over links and simulation steps (1 s). A lane
with three links counts three times; with detectors, whole lanes count. Reading them in every
simulation step costs 5 to 15 % of the simulator's time, so only `ilvf traffic` always does it.

A trip that a jam keeps from finishing is not in `travel_time`: read it beside `throughput` and
`backlog`.

**Randomness** is SUMO's. Episode k after `reset(seed=s)` has the seed s + 1 000 000 007 k modulo
2^31 and equals a reset with that seed. Runs with neighbouring seeds share no episodes.

All lanes share 64 generators; with `lane_noise=True` every lane has its own, so that a
change at one signal does not change the luck of lanes that it does not reach.

**States**: `Traffic` can be saved and put back (`get_state`, `set_state`), exactly. A state is the
seed and the actions of the episode, which are played again; on Linux the simulator that has done it
is forked for all further episodes from there. A state with another generator has new random
numbers, except for flows with a probability; `simulator="traci"` cannot do that. No trips are
recorded.

`SumoTrafficEnv` is one road network as a PettingZoo environment, `Traffic` are several copies of it
as a batched TorchRL environment. Both need the extra `ilvf[sumo]`.
"""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, listing

if TYPE_CHECKING:
    from ilvf.envs.traffic.batched import Traffic
    from ilvf.envs.traffic.env import SumoTrafficEnv
    from ilvf.envs.traffic.network.network import Network, Scenario, Signal
    from ilvf.envs.traffic.network.read import read_network

__all__ = ["Network", "Scenario", "Signal", "SumoTrafficEnv", "Traffic", "read_network"]

__getattr__ = lazily(
    __name__,
    {
        "network.network": ["Network", "Scenario", "Signal"],
        "network.read": ["read_network"],
        "env": ["SumoTrafficEnv"],
        "batched": ["Traffic"],
    },
)

__dir__ = listing(__all__)
