"""MPE Encircle against recorded physics and against rewards worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import tensor

from helpers import ROOT
from ilvf.envs import Encircle
from ilvf.envs.encircle import FORCE, contact_force, move

DATA = ROOT / "tests" / "reference"


def placed(degrees, radii, target=(0.0, 0.0), angle="signed"):
    """Rewards of agents at these angles and distances around the target."""
    env = Encircle(len(degrees), angle=angle, num_envs=1, seed=0)
    theta, d = torch.deg2rad(tensor([degrees])), tensor([radii])
    position = torch.stack([d * theta.cos(), d * theta.sin()], -1) + tensor(target)
    return env.reward({"position": position, "target": tensor([target])})[0].tolist()


RING10 = [float(36 * k) for k in range(10)]
SAME_SIDE = [0.0, 36.0, 0.0, *RING10[3:]]
FAR = [180.0, 0.0, 90.0, *RING10[3:]]
QUARTER, RAD = math.pi / 4, math.pi / 180

CASES = {  # name: degrees, radii, target, expected rewards by agent number (the others 0)
    "A perfect": ([0.0, 90.0, 180.0, 270.0], [0.7] * 4, (0.0, 0.0), {}),
    # -0.1 · 0.3² = -0.009
    "B radius": (
        [0.0, 90.0, 180.0, 270.0],
        [1.0, 1.0, 0.4, 0.7],
        (0.2, -0.1),
        {1: -0.009, 2: -0.009, 3: -0.009},
    ),
    "C one off": ([0.0, 45.0, 180.0, 270.0], [0.7] * 4, (0.0, 0.0), {2: -2 * QUARTER**2}),
    "D across the cut": ([350.0, 80.0, 170.0, 260.0], [0.7] * 4, (0.0, 0.0), {}),
}
ANGLE_CASES = {
    # agent 3 sits at 0° instead of 72°. signed: 2 sees 3 at -36° instead of +36°, 4 sees 3 at 108° instead of 36°
    ("E", "signed"): (SAME_SIDE, [0.7] * 10, {2: -((72 * RAD) ** 2), 4: -((72 * RAD) ** 2)}),
    ("E", "unsigned"): (SAME_SIDE, [0.7] * 10, {4: -((72 * RAD) ** 2)}),
    # 2 at 0°: neighbours at 180° and 90°; 4 at 108°: 3 at 90°; 10 at 324°: 9 at 288°, 1 at 180°. -0.1 · 0.2² = -0.004
    ("F", "signed"): (
        FAR,
        [0.7, 0.5, *[0.7] * 8],
        {2: -0.004 - (144 * RAD) ** 2 - (54 * RAD) ** 2, 4: -((18 * RAD) ** 2), 10: -(math.pi**2)},
    ),
    ("F", "unsigned"): (
        FAR,
        [0.7, 0.5, *[0.7] * 8],
        {
            2: -0.004 - (144 * RAD) ** 2 - (54 * RAD) ** 2,
            4: -((18 * RAD) ** 2),
            10: -((108 * RAD) ** 2),
        },
    ),
}


@pytest.mark.parametrize("angle", ["signed", "unsigned"])
@pytest.mark.parametrize("case", CASES)
def test_rewards_by_hand(case, angle):
    degrees, radii, target, expected = CASES[case]
    found = placed(degrees, radii, target, angle)
    assert found == pytest.approx([expected.get(i + 1, 0.0) for i in range(len(degrees))], abs=1e-5)


@pytest.mark.parametrize(("case", "angle"), ANGLE_CASES)
def test_rewards_by_hand_where_the_readings_differ(case, angle):
    degrees, radii, expected = ANGLE_CASES[case, angle]
    found = placed(degrees, radii, angle=angle)
    assert found == pytest.approx([expected.get(i + 1, 0.0) for i in range(10)], abs=1e-5)


def test_physics_by_hand():
    """From rest, +x three times: v = 0.5, 0.75·0.5 + 0.5 = 0.875, 0.75·0.875 + 0.5 = 1.15625; x += 0.1 v."""
    env = Encircle(4, num_envs=1, seed=0)
    env.reset()
    world = {**env.world, "position": torch.zeros(1, 4, 2)}
    seen = []
    for _ in range(3):
        world = env.advance(world, torch.full((1, 4), 2))
        seen += [world["velocity"][0, 0, 0].item(), world["position"][0, 0, 0].item()]
    assert seen == pytest.approx([0.5, 0.05, 0.875, 0.1375, 1.15625, 0.253125])


@pytest.mark.parametrize(
    "name", ["mpe_00_free", "mpe_01_obstacles_random", "mpe_02_obstacles_push"]
)
def test_recorded_physics(name):
    """In float64 along the whole trace (contacts amplify rounding), and in the env's float32 step by step."""
    trace = np.load(DATA / f"{name}.npz")
    env = Encircle(6, len(trace["obstacle_radius"]), num_envs=1, seed=0)
    obstacles = tensor(trace["obstacle_pos"])[None], tensor(trace["obstacle_radius"])[None]
    position, velocity = tensor(trace["pos"][0])[None], tensor(trace["vel"][0])[None]
    directions = FORCE * tensor([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]], dtype=torch.float64)
    for t, action in enumerate(tensor(trace["actions"].astype(np.int64))):
        force = directions[action][None] + contact_force(position, *obstacles)
        position, velocity = move(position, velocity, force)
        assert np.abs(position[0].numpy() - trace["pos"][t + 1]).max() < 1e-5
        assert np.abs(velocity[0].numpy() - trace["vel"][t + 1]).max() < 1e-5

        world = {
            k: tensor(trace[v][t])[None].float()
            for k, v in (("position", "pos"), ("velocity", "vel"))
        }
        world |= {"obstacle_center": obstacles[0].float(), "obstacle_radius": obstacles[1].float()}
        world = env.advance(world, action[None])
        assert np.abs(world["position"][0].numpy() - trace["pos"][t + 1]).max() < 1e-6


def test_graphs_by_hand():
    """Six agents; agent numbers: odd 1, 3, 5 are indices 0, 2, 4."""
    env = Encircle(6, seed=0)

    def rows(graph):
        return [[j + 1 for j in range(6) if graph[i, j]] for i in range(6)]

    assert rows(env.transition_graph) == [[i] for i in range(1, 7)]
    assert rows(env.observation_graph) == [[1, 2, 6], [2], [2, 3, 4], [4], [4, 5, 6], [6]]
    assert rows(env.reward_graph) == [[1], [1, 2, 3], [3], [3, 4, 5], [5], [1, 5, 6]]
    # odd i: {i, i±1}; even i: {i, i±1, i±2}
    assert rows(env.value_graph) == [
        [1, 2, 6],
        [1, 2, 3, 4, 6],
        [2, 3, 4],
        [2, 3, 4, 5, 6],
        [4, 5, 6],
        [1, 2, 4, 5, 6],
    ]


@pytest.mark.parametrize("options", [{}, {"n_obstacles": 2, "angle": "unsigned"}])
def test_reward_graph_is_true_of_the_rewards(options):
    """Moving agent j changes r_i exactly where the graph says so."""
    env = Encircle(6, num_envs=1, seed=0, **options)
    env.reset()
    world = {**env.world}
    before = env.reward(world)
    for j in range(env.n_agents):
        moved = {**world, "position": world["position"].clone()}
        moved["position"][:, j] += 0.05
        changed = (env.reward(moved) - before)[0].abs() > 1e-6
        assert torch.equal(changed, env.reward_graph[:, j])


def test_observation_is_own_state_and_the_neighbours_that_count():
    env = Encircle(6, 2, num_envs=3, seed=0)
    td = env.reset()
    state, observation, mask = (
        td["agents", k] for k in ("state", "observation", "observation_mask")
    )
    assert torch.equal(observation[..., :10], state)
    front, rear = state.roll(-1, 1)[..., :6], state.roll(1, 1)[..., :6]
    assert torch.equal(observation[:, 0::2, 10:], torch.cat([front, rear], -1)[:, 0::2])
    assert not observation[:, 1::2, 10:].any()
    assert mask[:, 0::2].all()
    assert not mask[:, 1::2, 10:].any()


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


def test_the_clock_truncates_and_never_terminates():
    rollout = Encircle(4, horizon=5, num_envs=2, seed=0).rollout(12, break_when_any_done=False)
    ended = rollout["next", "truncated"][0, :, 0]
    assert ended.nonzero().flatten().tolist() == [4, 9]
    assert not rollout["next", "terminated"].any()
    length = rollout["next", "episode", "length"][0, :, 0]
    assert length.tolist() == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2]
    team = rollout["next", "agents", "reward"].sum((-2, -1))
    assert torch.allclose(rollout["next", "episode", "return"][:, 4, 0], team[:, :5].sum(1))


def test_a_perfect_ring_is_a_success():
    env = Encircle(4, num_envs=1, seed=0)
    ring = 0.7 * tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    world = {"position": ring[None], "target": torch.zeros(1, 2)}
    found = {k: v.item() for k, v in env.statistics(world).items()}
    assert found == pytest.approx(
        {"radius_error": 0.0, "angle_error": 0.0, "success": 1.0}, abs=1e-6
    )
    world["position"] = ring[None] * 1.1  # 0.07 too far out
    assert env.statistics(world)["success"].item() == 0
    assert env.statistics(world)["radius_error"].item() == pytest.approx(0.07, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(n_agents=7), ("n_agents=7", "even", "try 8")),
        (dict(n_agents=2), ("n_agents=2", "try 4")),
        (dict(angle="sigend"), ("sigend", "signed")),
        (dict(n_obstacles=-1), ("n_obstacles=-1",)),
        (dict(num_envs=0), ("num_envs=0",)),
        (dict(horizon=0), ("horizon=0",)),
    ],
)
def test_bad_arguments(arguments, words, refused):
    with refused(*words):
        Encircle(**arguments)


def test_draw_shows_a_rollout(tmp_path):
    env = Encircle(6, 2, num_envs=2, seed=0)
    for name, rollout in (("now", None), ("path", env.rollout(10))):
        env.draw(rollout, index=1).savefig(tmp_path / name, format="png")
        assert (tmp_path / name).stat().st_size > 5000
