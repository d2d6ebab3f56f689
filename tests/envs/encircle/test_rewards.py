"""The rewards of MPE Encircle, worked out by hand."""

import math

import pytest
import torch
from torch import tensor

from ilvf.envs import Encircle

RING = [36.0 * k for k in range(10)]  # [°], ten agents at their places
SAME_SIDE = [0.0, 36.0, 0.0, *RING[3:]]  # agent 3 at 0° instead of 72°
FAR = [180.0, 0.0, 90.0, *RING[3:]]  # agents 1, 2 and 3 elsewhere
QUARTER = math.pi / 4
RAD = math.pi / 180  # one degree

# name: degrees, radii [m], target, expected rewards by agent number (the others are 0)
CASES = {
    "perfect ring": ([0.0, 90.0, 180.0, 270.0], [0.7] * 4, (0.0, 0.0), {}),
    "wrong radii": (  # -0.1 · 0.3² = -0.009
        [0.0, 90.0, 180.0, 270.0],
        [1.0, 1.0, 0.4, 0.7],
        (0.2, -0.1),
        {1: -0.009, 2: -0.009, 3: -0.009},
    ),
    "one wrong angle": ([0.0, 45.0, 180.0, 270.0], [0.7] * 4, (0.0, 0.0), {2: -2 * QUARTER**2}),
    "ring across 0°": ([350.0, 80.0, 170.0, 260.0], [0.7] * 4, (0.0, 0.0), {}),
}
# angles [°] that agents 2, 4 and 10 see, where the two readings of eq. 18 differ:
# SAME_SIDE: 2 sees 3 at -36 instead of +36, 4 sees 3 at 108 instead of 36
# FAR: 2 at 0: neighbours at 180 and 90; 4 at 108: 3 at 90; 10 at 324: 9 at 288, 1 at 180
# agent 2 of FAR is 0.2 m off its radius: -0.1 · 0.2² = -0.004
READINGS = [
    ("signed", SAME_SIDE, [0.7] * 10, {2: -((72 * RAD) ** 2), 4: -((72 * RAD) ** 2)}),
    ("unsigned", SAME_SIDE, [0.7] * 10, {4: -((72 * RAD) ** 2)}),
    (
        "signed",
        FAR,
        [0.7, 0.5, *[0.7] * 8],
        {2: -0.004 - (144 * RAD) ** 2 - (54 * RAD) ** 2, 4: -((18 * RAD) ** 2), 10: -(math.pi**2)},
    ),
    (
        "unsigned",
        FAR,
        [0.7, 0.5, *[0.7] * 8],
        {
            2: -0.004 - (144 * RAD) ** 2 - (54 * RAD) ** 2,
            4: -((18 * RAD) ** 2),
            10: -((108 * RAD) ** 2),
        },
    ),
]


def rewards_at(degrees, radii, target=(0.0, 0.0), angle="signed"):
    """Rewards of agents at these angles and distances from the target."""
    env = Encircle(len(degrees), angle=angle, num_envs=1, seed=0)
    theta = torch.deg2rad(tensor([degrees]))
    d = tensor([radii])
    position = torch.stack([d * theta.cos(), d * theta.sin()], -1) + tensor(target)
    return env.reward({"position": position, "target": tensor([target])})[0].tolist()


def by_number(rewards, n):
    """Expected rewards of n agents from those that are not 0."""
    return pytest.approx([rewards.get(i + 1, 0.0) for i in range(n)], abs=1e-5)


@pytest.mark.parametrize("angle", ["signed", "unsigned"])
@pytest.mark.parametrize("case", CASES)
def test_rewards_by_hand(case, angle):
    degrees, radii, target, expected = CASES[case]
    assert rewards_at(degrees, radii, target, angle) == by_number(expected, 4)


@pytest.mark.parametrize(("angle", "degrees", "radii", "expected"), READINGS)
def test_rewards_by_hand_where_the_two_readings_differ(angle, degrees, radii, expected):
    assert rewards_at(degrees, radii, angle=angle) == by_number(expected, 10)
