"""Graphs, observations, episodes, arguments and the picture of MPE Encircle."""

import pytest
import torch
from PIL import Image
from torch import tensor

from env_helpers import rows_of
from ilvf.envs import Encircle


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
    before = 1 + 2 + 1  # lines of the target's ring, the obstacles and the agents' ring
    for figure, points in ((now, 1), (paths, 11)):
        lines = figure.axes[0].lines[before : before + 6]
        assert [len(line.get_xdata()) for line in lines] == [points] * 6
        figure.savefig(tmp_path / "picture", format="png")
        assert (tmp_path / "picture").stat().st_size > 5000
    env.animate(rollout, tmp_path / "episode.gif", index=1)
    with Image.open(tmp_path / "episode.gif") as animation:
        assert animation.n_frames == 11
