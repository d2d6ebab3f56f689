"""CACC: a platoon of vehicles learns to keep its distance (cooperative adaptive cruise control).

N vehicles (8) follow a lead vehicle with a given speed. Every vehicle wants a headway h* of 20 m
(`target_headway`) and a speed v* of 15 m/s (`target_speed`). Every 0.1 s it chooses how strongly to
react to its own headway and to the vehicle in front; the effects pass down the platoon from vehicle
to vehicle. Vehicle 1, array index 0, is the first behind the lead.

**Scenarios**: in `catch-up` all vehicles drive v* with headways h*, except that the first is
1.5-2.5 × h* behind the lead, which keeps v*. In `slow-down` all have headways h* and drive
1.5-2.5 × v*; the lead brakes evenly to v* within 29.9 s.

**Actions** (4): gains (α, β) [1/s]: 0 (0, 0), 1 (0.5, 0), 2 (0, 0.5), 3 (0.5, 0.5).

**Step** (0.1 s): the acceleration u = α (V(h) − v) + β (v_front − v) is limited to ±2.5 m/s², the
speed to 0-30 m/s; the headway follows by the trapezoidal rule. V(h), the speed that suits a
headway, is 0 up to 5 m, 30 m/s from 35 m on, and a cosine between. It does not depend on the
targets: V(20 m) = 15 m/s. If V(h*) is not v*, actions with α > 0 move a vehicle away from them.

**State** s_i (5 numbers), with the u that remains after the limits:

| number | formula | range |
|---|---|---|
| speed | (v − v*) / v* | −1 to 1; up to 1.5 at the start of slow-down |
| relative speed | (v_front − v) / 5 m/s | clipped to −2 to 2 |
| speed wanted for the headway | (V(h) − v) / 5 m/s | clipped to −2 to 2 |
| headway, 0.1 s ahead | (h + (v_front − v) 0.1 s − h*) / h* | at least −1 |
| acceleration | u / 2.5 m/s² | −1 to 1; down to −30 in the first step of slow-down |

**Observation** (15 numbers): own state, state of the vehicle in front, state of the one behind. The
first vehicle has none in front and the last none behind: these numbers are zero and masked. Without
`observe_neighbors` (5 numbers): own state.

**Reward**, on the state after the step:

    r_i = −(h_i − h*)² − (v_i − v*)² − 0.1 u_i² − 5 min(h_i − 10, 0)²

The last term (`soft_penalty`) is for training (`env.train()`, the mode of a new environment). After
`env.eval()` it is 0.

**Collision**: when a headway falls below 1 m, the reward of every vehicle in this step is
−G = −1000 instead, and the platoon stands still until the episode ends. The rest depends on
`collision_rule`:

| rule | after the collision | consequence |
|---|---|---|
| `reference` (default) | −G per step to all, terminated at a multiple of 60 steps | see below |
| `pay_to_horizon` | −G per step to all until the horizon | a collision is never cheaper |
| `stop` | terminated at once, −G only once | the cheapest collision of the three |

Under `reference` a collision late in a block of 60 steps is cheap, and some policies learn to
collide there. Under `pay_to_horizon` a collision pays only if driving costs more than G per step.

**End**: truncated after 600 steps (60 s).

**Statistics** (`episode/...`), of the episode so far. RMS over vehicles and the steps before a
collision: `headway_error` [m], `speed_error` [m/s], `acceleration` [m/s²], `jerk` [m/s³] (change of
acceleration, a measure of comfort; it starts from 0). `min_headway` [m]. `collision` (0 or 1).

`cost` is the mean of −Σ_i r_i per step, without the soft penalty. From a collision on it counts G
per vehicle and step up to the horizon, under every collision rule and however early the episode
ended. So returns differ between the rules, and costs can be compared.

`cost_to_bound` (only with 8 vehicles, 600 steps and the default targets) is the cost divided by a
lower bound for all policies, from a convex relaxation: 24.0 in catch-up, 302.4 in slow-down, means
over the six starts of `ratio="evaluation"`; so evaluate 6, 12, ... episodes. From these starts the
rules of `env.rules` reach, without a collision and so under every collision rule:

| cost_to_bound | catch-up | slow-down |
|---|---|---|
| `linear`: the action nearest to a linear feedback | 1.288 | 1.078 |
| `constant`: always (0.5, 0.5) | 3.383 | 1.619 |

(`ilvf evaluate policy=linear env=cacc env.ratio=evaluation algorithm.eval_episodes=6`)

**Graphs**: s_{i−1}, s_i and the actions of these two vehicles enter the next state of i, until a
collision. The rewards depend on all vehicles, because of collisions. An action of vehicle 1 reaches
vehicle k after k − 1 steps.

**As in the reference** (Chu, Chinchali, Katti 2020): all constants. Starts of slow-down above
30 m/s are cut to 30 m/s in the first step; this deceleration is beyond the limit and costs up to
562 per vehicle under every policy.

**Differences from the reference**: starts come from torch's generator, one uniform number per
episode; neighbours have fixed places in the observation, with their whole states; the horizon
truncates; no greedy episode from the same start after each episode.

Run `python -m ilvf.envs.cacc [KEY=VALUE ...]` to see it.
"""
