"""MPE Encircle: recorded physics, rewards worked out by hand, graphs, observations, episodes."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from env_helpers import recording, recordings, rows_of
from ilvf.envs import Encircle
from ilvf.envs.encircle.physics import FORCE, contact_force, move

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


# ---------------------------------------------------------------------- rewards
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


# ---------------------------------------------------------------------- physics
def test_physics_by_hand():
    """From rest, +x three times.

    v = 0.5, 0.75 · 0.5 + 0.5 = 0.875, 0.75 · 0.875 + 0.5 = 1.15625; x += 0.1 v.
    """
    env = Encircle(4, num_envs=1, seed=0)
    env.reset()
    world = {**env.world, "position": torch.zeros(1, 4, 2)}
    found = []
    for _ in range(3):
        world = env.advance(world, torch.full((1, 4), 2))
        found.append(world["velocity"][0, 0, 0].item())
        found.append(world["position"][0, 0, 0].item())
    assert found == pytest.approx([0.5, 0.05, 0.875, 0.1375, 1.15625, 0.253125])


def test_all_recordings_are_here():
    assert len(recordings("mpe_*")) == 3


@pytest.mark.parametrize("name", recordings("mpe_*"))
class TestRecordedPhysics:
    def test_whole_episodes_in_float64(self, name):
        """In float64, because contacts amplify rounding errors."""
        trace = recording(name)
        center = tensor(trace["obstacle_pos"])[None]
        radius = tensor(trace["obstacle_radius"])[None]
        position = tensor(trace["pos"][:1])
        velocity = tensor(trace["vel"][:1])
        directions = tensor([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], dtype=torch.float64)
        for t, action in enumerate(tensor(trace["actions"].astype(np.int64))):
            force = FORCE * directions[action][None] + contact_force(position, center, radius)
            position, velocity = move(position, velocity, force)
            assert np.abs(position[0].numpy() - trace["pos"][t + 1]).max() < 1e-5
            assert np.abs(velocity[0].numpy() - trace["vel"][t + 1]).max() < 1e-5

    def test_single_steps_of_the_environment(self, name):
        """All recorded steps as one batch, in the environment's float32."""
        trace = recording(name)
        steps = len(trace["actions"])
        obstacles = len(trace["obstacle_radius"])
        env = Encircle(6, obstacles, num_envs=steps, seed=0)
        world = {
            "position": tensor(trace["pos"][:-1]).float(),
            "velocity": tensor(trace["vel"][:-1]).float(),
            "obstacle_center": tensor(trace["obstacle_pos"]).float().expand(steps, -1, -1),
            "obstacle_radius": tensor(trace["obstacle_radius"]).float().expand(steps, -1),
        }
        world = env.advance(world, tensor(trace["actions"].astype(np.int64)))
        assert np.abs(world["position"].numpy() - trace["pos"][1:]).max() < 1e-6


# ---------------------------------------------------------------------- graphs
def test_graphs_by_hand():
    """Six agents. Agent numbers 1, 3, 5 are indices 0, 2, 4."""
    env = Encircle(6, seed=0)

    def numbers(graph):
        return [[j + 1 for j in row] for row in rows_of(graph)]

    assert numbers(env.transition_graph) == [[i] for i in range(1, 7)]
    assert numbers(env.observation_graph) == [[1, 2, 6], [2], [2, 3, 4], [4], [4, 5, 6], [6]]
    assert numbers(env.reward_graph) == [[1], [1, 2, 3], [3], [3, 4, 5], [5], [1, 5, 6]]
    # odd i: {i, i±1}; even i: {i, i±1, i±2}
    assert numbers(env.value_graph) == [
        [1, 2, 6],
        [1, 2, 3, 4, 6],
        [2, 3, 4],
        [2, 3, 4, 5, 6],
        [4, 5, 6],
        [1, 2, 4, 5, 6],
    ]


@pytest.mark.parametrize("options", [{}, {"n_obstacles": 2, "angle": "unsigned"}])
def test_moving_an_agent_changes_the_rewards_in_its_column_of_the_reward_graph(options):
    env = Encircle(6, num_envs=1, seed=0, **options)
    env.reset()
    world = {**env.world}
    before = env.reward(world)
    for j in range(env.n_agents):
        moved = {**world, "position": world["position"].clone()}
        moved["position"][:, j] += 0.05
        changed = (env.reward(moved) - before)[0].abs() > 1e-6
        assert torch.equal(changed, env.reward_graph[:, j])


# ---------------------------------------------------------------------- observations
def test_odd_agents_observe_both_neighbours_and_even_agents_only_themselves():
    env = Encircle(6, 2, num_envs=3, seed=0)
    agents = env.reset()["agents"]
    state = agents["state"]
    observation = agents["observation"]
    mask = agents["observation_mask"]
    assert torch.equal(observation[..., :10], state)
    front = state.roll(-1, 1)[..., :6]
    rear = state.roll(1, 1)[..., :6]
    assert torch.equal(observation[:, 0::2, 10:], torch.cat([front, rear], -1)[:, 0::2])
    assert not observation[:, 1::2, 10:].any()
    assert mask[:, 0::2].all()
    assert not mask[:, 1::2, 10:].any()


# ---------------------------------------------------------------------- starts and ends
def test_obstacles_leave_ring_target_and_starts_free():
    env = Encircle(10, 3, num_envs=200, seed=1)
    env.reset()
    world = env.world
    radius = world["obstacle_radius"]
    from_target = (world["obstacle_center"] - world["target"].unsqueeze(1)).norm(dim=-1)
    from_agents = torch.cdist(world["obstacle_center"], world["position"]).amin(-1)
    assert ((from_target - 0.7).abs() >= radius + 0.1 - 1e-6).all()
    assert (from_target >= radius).all()
    assert (from_agents >= radius).all()
    assert radius.min() >= 0.08
    assert radius.max() <= 0.15


def test_too_many_obstacles_are_refused(refused, monkeypatch):
    monkeypatch.setattr("ilvf.envs.encircle.env.PLACEMENT_ATTEMPTS", 3)
    with refused("n_obstacles=40", "n_agents=20", "fewer"):
        Encircle(20, 40, num_envs=20, seed=0)


def test_the_clock_truncates_and_nothing_terminates():
    rollout = Encircle(4, horizon=5, num_envs=2, seed=0).rollout(12, break_when_any_done=False)
    after = rollout["next"]
    assert after["truncated"][0, :, 0].nonzero().flatten().tolist() == [4, 9]
    assert not after["terminated"].any()
    length = after["episode", "length"][0, :, 0]
    assert length.tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]
    team = after["agents", "reward"].sum((-2, -1))
    assert torch.allclose(after["episode", "return"][:, 4, 0], team[:, :5].sum(1))


def test_a_perfect_ring_is_a_success():
    env = Encircle(4, num_envs=1, seed=0)
    ring = 0.7 * tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    world = {"position": ring[None], "target": torch.zeros(1, 2)}
    found = {name: value.item() for name, value in env.statistics(world).items()}
    perfect = {"radius_error": 0.0, "angle_error": 0.0, "success": 1.0}
    assert found == pytest.approx(perfect, abs=1e-6)
    world["position"] = ring[None] * 1.1  # 0.07 m too far from the target
    statistics = env.statistics(world)
    assert statistics["success"].item() == 0
    assert statistics["radius_error"].item() == pytest.approx(0.07, abs=1e-6)


# ---------------------------------------------------------------------- arguments and picture
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(n_agents=7), ("n_agents=7", "even", "try 8")),
        (dict(n_agents=2), ("n_agents=2", "try 4")),
        (dict(n_agents=4.5), ("n_agents=4.5", "whole number")),
        (dict(angle="sigend"), ("angle='sigend'", "signed, unsigned")),
        (dict(n_obstacles=-1), ("n_obstacles=-1", "not negative")),
        (dict(num_envs=0), ("num_envs=0", "at least 1")),
        (dict(horizon=0), ("horizon=0", "at least 1")),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, refused):
    with refused(*words):
        Encircle(**arguments)


def test_draw_shows_the_paths_of_a_rollout(tmp_path):
    env = Encircle(6, 2, num_envs=2, seed=0)
    rollout = env.rollout(10)
    now = env.draw(index=1)
    paths = env.draw(rollout, index=1)
    target, obstacles, ring = 1, 2, 1  # lines before the paths
    before = target + obstacles + ring
    for figure, points in ((now, 1), (paths, 11)):
        lines = figure.axes[0].lines[before:]
        assert [len(line.get_xdata()) for line in lines] == [points] * 6
        figure.savefig(tmp_path / "picture", format="png")
        assert (tmp_path / "picture").stat().st_size > 5000
