"""MPE Encircle: point masses surround a target in ring order (paper, Sec. 5.1 and App. B.1).

N agents (an even number) and a target are on a plane. Every agent wants to be 0.7 m away from the
target. EVEN-numbered agents also want an angle of 2π/N to both neighbours on the ring, but do not
observe them. ODD-numbered agents observe both neighbours, and have no reward for the angles: their
actions change the rewards of others. Agents are numbered 1..N, so "odd" is array index 0, 2, ...

**Actions** (5): 0 none, 1 −x, 2 +x, 3 −y, 4 +y, a force of 5 N on 1 kg. With `continuous=True` an
action is the force itself, two numbers in [−5, 5] N. (Not in the paper.)

**State** s_i (6 + 2K numbers): velocity (2) [m/s], position (2) [m], target − position (2) [m],
obstacle − position (2 for each of the K obstacles) [m].

**Observation** (6 + 2K + 12 numbers): own state, then the first 6 numbers of the states of the
neighbours i+1 and i−1. For even agents these 12 numbers are zero and masked.

**Reward** (eq. 17-18), on the state after the step:

    r_i = −0.1 (d_i − 0.7)² − Σ_{j∈N_i} e_ij²,   N_i = {i−1, i+1} for even i, empty for odd i

d_i [m] is the distance from the target. With `angle="signed"` (default) e_ij is the error of the
angle from i toward j's own side of the ring, wrapped into (−π, π]; it is zero only if the target is
encircled. With `angle="unsigned"` e_ij = |angle between i and j| − 2π/N, the most literal reading
of eq. 18, which is also zero on folded rings. The best sum of rewards is 0.

**Start**: agents uniform in [−1, 1]² at rest, target uniform in [−0.5, 0.5]².

**End**: truncated after 50 steps.

**Statistics**: `radius_error` [m], RMS of d_i − 0.7; `angle_error` [rad], RMS of the angle errors
on the ring; `success`, 1 if all of them are below 0.05 m and 0.1 rad.

**Choices where the paper is silent**: the ring is closed; the K obstacles are discs of radius
0.08-0.15 m that cover neither the target nor its ring nor an agent's start, and push agents away as
in MPE; 50 steps of 0.1 s; damping 0.25.

Run `python -m ilvf.envs.encircle [KEY=VALUE ...]` to see it.
"""

from ilvf.envs.encircle.env import Encircle

__all__ = ["Encircle"]
