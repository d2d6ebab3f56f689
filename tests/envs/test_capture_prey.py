"""Predator Capture Prey against recorded episodes of the public reference, and against what was worked out by hand."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import tensor

from helpers import ROOT, TINY
from ilvf.envs import CapturePrey, make_env
from ilvf.envs.capture_prey.grid import nearest

DATA = ROOT / "tests" / "reference"
TRACES = sorted(path.stem for path in DATA.glob("pcp_*.npz"))
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
UP, RIGHT, DOWN, LEFT, STAY, CAPTURE = range(6)
TEAM = (
    5 + 100
)  # numbers that an agent tells others: the first five of its state, 4 planes of 25 cells


def of_trace(trace, num_envs, **options):
    """The environment of a trace, without communication and with a clock that never cuts."""
    same = (
        "n_perception",
        "n_action",
        "dim",
        "vision",
        "mode",
        "n_prey",
        "second_reward_scheme",
        "action_vision",
    )
    settings = {key: trace[key].item() for key in same}
    return CapturePrey(**settings, graph="none", horizon=1000, num_envs=num_envs, seed=0, **options)


def worlds_of(trace, rows, device="cpu"):
    """The recorded states `rows` as one batch."""
    position = tensor(trace["pos"][rows].astype(np.int64))
    perception = np.zeros((len(position), trace["n_perception"].item()), dtype=bool)
    captured = np.concatenate([perception, trace["captured"][rows].astype(bool)], 1)
    world = {
        "position": position,
        "prey": tensor(trace["prey_pos"]).expand(len(position), -1, -1),
        "reached": tensor(trace["reached"][rows].astype(bool)),
        "captured": tensor(captured),
    }
    return {key: value.to(device) for key, value in world.items()}


def place(env, position, prey, reached=None, captured=None):
    """A world of one environment."""
    nobody = [False] * env.n_agents
    world = {
        "position": position,
        "prey": prey,
        "reached": reached or nobody,
        "captured": captured or nobody,
    }
    return {key: tensor(value)[None] for key, value in world.items()}


def rows_of(graph):
    return [row.nonzero().flatten().tolist() for row in graph]


# ---------------------------------------------------------------------- recorded episodes
def test_all_recordings_are_here():
    assert len(TRACES) == 12


@pytest.mark.parametrize("name", TRACES)
def test_recorded_episode(name):
    """Step by step, beside environments that do something else: positions, flags, rewards and ends, exactly."""
    trace = np.load(DATA / f"{name}.npz")
    env = of_trace(trace, num_envs=3)
    start = env.initial()
    for key, value in worlds_of(trace, [0]).items():
        start[key][1:2] = value
    env.set_state({**start, "rng": env.rng.get_state()})
    td = env.reset()
    for t, action in enumerate(tensor(trace["actions"].astype(np.int64))):
        td = env.rand_action(td)
        td["agents", "action"][1] = action
        td = env.step(td)["next"]
        after = {key: value[0] for key, value in worlds_of(trace, [t + 1]).items()}
        assert all(torch.equal(env.world[key][1], after[key]) for key in after)
        assert np.array_equal(td["agents", "reward"][1, :, 0].numpy(), trace["reward"][t])
        assert td["terminated"][1].item() == trace["done"][t]
        assert td["terminated"][1].item() == (
            trace["success"][t] == 1
        )  # competitive: -1, it has no success there
        assert not td["truncated"].any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_all_recorded_states_as_one_batch(name, device):
    """One step of all of them at once leads to the recorded next ones."""
    trace = np.load(DATA / f"{name}.npz")
    steps = len(trace["actions"])
    env = of_trace(trace, num_envs=steps, device=device)
    action = tensor(trace["actions"].astype(np.int64), device=device)
    world = env.advance(worlds_of(trace, range(steps), device), action)
    after = worlds_of(trace, range(1, steps + 1), device)
    assert all(torch.equal(world[key], after[key]) for key in after)
    assert np.array_equal(env.reward(world).cpu().numpy(), trace["reward"])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRACES)
def test_recorded_observations(name, device):
    """The reference's window: as it was meant, as it was returned, and in which of them agents lost cells."""
    trace = np.load(DATA / f"{name}.npz")
    rows = len(trace["pos"])
    blind = trace["action_vision"].item() < 0  # with eyes, the reference copies and nothing leaks

    def windows(leak):
        env = of_trace(trace, rows, encoding="reference", leak=leak, device=device)
        return env.observe(worlds_of(trace, range(rows), device))[1].cpu().numpy()

    meant, returned = windows(False), windows(blind)
    assert np.array_equal((meant != returned).any(-1), trace["obs_leak"])
    if "obs" in trace:
        assert np.array_equal(meant, trace["obs"].reshape(meant.shape))
        assert np.array_equal(returned, trace["obs_reference"].reshape(meant.shape))


@pytest.mark.parametrize("leak", [False, True])
def test_the_compact_window_has_the_counts_of_the_reference(leak):
    """Prey, perception, action, outside plane by plane; action, outside, prey, perception cell by cell."""
    options = dict(graph="none", n_prey=2, leak=leak, num_envs=200, seed=3)
    compact, reference = CapturePrey(**options), CapturePrey(encoding="reference", **options)
    world = compact.initial()
    planes = compact.observe(world)[1][:, :4, 5:].unflatten(-1, (4, 25))
    cells = reference.observe(world)[1][:, :4].unflatten(-1, (25, 104))[..., 100:]
    assert torch.equal(planes, cells[..., [2, 3, 0, 1]].mT)
    assert (planes == -1).any().item() == leak


# ---------------------------------------------------------------------- moves, captures, rewards
def test_moves_and_walls():
    """From the middle of a 3×3 grid each action goes its way; from a corner walls hold back."""
    env = CapturePrey(0, 5, 3, num_envs=1)
    middle = place(env, [[1, 1]] * 5, [[2, 2]])
    moved = env.advance(middle, tensor([[UP, RIGHT, DOWN, LEFT, STAY]]))
    assert moved["position"][0].tolist() == [[0, 1], [1, 2], [2, 1], [1, 0], [1, 1]]
    corner = env.advance(
        place(env, [[0, 0]] * 5, [[2, 2]]), tensor([[UP, LEFT, DOWN, RIGHT, CAPTURE]])
    )
    assert corner["position"][0].tolist() == [[0, 0], [0, 0], [1, 0], [0, 1], [0, 0]]
    far = env.advance(place(env, [[2, 2]] * 5, [[0, 0]]), tensor([[DOWN, RIGHT, UP, LEFT, STAY]]))
    assert far["position"][0].tolist() == [[2, 2], [2, 2], [1, 2], [2, 1], [2, 2]]


def test_captures_and_flags():
    """Perception 0, 1; action 2-5. The prey is at (1, 1); nobody captures from elsewhere, or by walking there."""
    env = CapturePrey(2, 4, 4, num_envs=1)
    world = place(
        env,
        [[1, 1], [1, 0], [1, 1], [1, 0], [1, 2], [3, 3]],
        [[1, 1]],
        reached=[True] + [False] * 5,
    )
    world = env.advance(world, tensor([[CAPTURE, RIGHT, CAPTURE, RIGHT, CAPTURE, CAPTURE]]))
    assert world["captured"][0].tolist() == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]  # 2: before it has reached
    assert world["reached"][0].tolist() == [True, True, True, True, False, False]
    world = env.advance(world, tensor([[UP, UP, UP, UP, UP, UP]]))  # who has reached stays
    assert world["position"][0].tolist() == [[1, 1], [1, 1], [1, 1], [1, 1], [0, 2], [2, 3]]
    world = env.advance(world, tensor([[CAPTURE] * 6]))  # 3 captures now, 1 cannot
    assert world["captured"][0].tolist() == [False, False, True, True, False, False]


THIRD = 0.05 / 3
REWARDS = {  # perception 0 on the prey, 1 off; action 2 on it without, 3 on it with a capture, 4 off: three on the prey
    ("mixed", False): [0, -0.05, -0.05, 0, -0.05],
    ("cooperative", False): [0.15, -0.05, -0.05, 0.15, -0.05],  # 3 · 0.05
    ("competitive", False): [THIRD, -0.05, -0.05, THIRD, -0.05],
    ("mixed", True): [0, -0.05, -0.025, 0, -0.05],
    ("cooperative", True): [0.15, -0.05, -0.025, 0.15, -0.05],
}


@pytest.mark.parametrize(("mode", "second"), REWARDS)
def test_rewards_by_hand(mode, second):
    env = CapturePrey(2, 3, 4, mode=mode, second_reward_scheme=second, num_envs=1)
    there, away = [2, 1], [0, 0]
    world = place(
        env, [there, away, there, there, away], [there], captured=[False, False, False, True, False]
    )
    assert env.reward(world)[0].tolist() == pytest.approx(REWARDS[mode, second], abs=1e-7)


@pytest.mark.parametrize("mode", ["mixed", "cooperative", "competitive"])
def test_only_mixed_terminates(mode):
    """When the last action agent captures, not when all are there."""
    env = CapturePrey(1, 2, 4, mode=mode, horizon=3, num_envs=1, seed=0)
    world = place(
        env, [[0, 1], [0, 0], [0, 0]], [[0, 0]], [False, True, True], [False, False, True]
    )
    env.set_state({**world, "rng": env.rng.get_state()})
    td = env.reset()
    td["agents", "action"] = tensor([[LEFT, STAY, STAY]])
    td = env.step(td)["next"]
    assert not td["done"].item()
    assert td["episode", "reached"].item() == 1
    assert td["episode", "success"].item() == 0
    td["agents", "action"] = tensor([[STAY, CAPTURE, STAY]])
    td = env.step(td)["next"]
    assert td["terminated"].item() == (mode == "mixed")
    assert td["episode", "success"].item() == 1
    td["agents", "action"] = tensor([[STAY, STAY, STAY]])
    td = env.step(td)["next"]
    if mode == "mixed":
        assert not td[
            "agents", "reward"
        ].any()  # nothing was lost by the end: everybody would get 0
        assert not td["truncated"].item()
    else:
        assert td["truncated"].item()
        assert not td["terminated"].item()


def test_statistics_by_hand():
    env = CapturePrey(1, 4, 4, num_envs=1)
    world = place(
        env,
        [[0, 0]] * 5,
        [[0, 0]],
        [True, True, True, True, False],
        [False, True, False, False, False],
    )
    found = {key: value.item() for key, value in env.statistics(world).items()}
    assert found == pytest.approx({"success": 0, "reached": 0.8, "captured": 0.25})
    world["reached"][:] = True
    world["captured"][:, 1:] = True
    assert {key: value.item() for key, value in env.statistics(world).items()} == dict.fromkeys(
        found, 1
    )


def test_start():
    """Different cells, every cell of the grid as likely, for agents and for the prey."""
    env = CapturePrey(3, 2, 4, n_prey=2, num_envs=8000, seed=0)
    world = env.initial()
    cell = torch.cat([world["position"], world["prey"]], 1) @ tensor([4, 1])  # [B, 7]
    assert (cell.sort(-1).values.diff(dim=-1) > 0).all()
    for k in (0, 4, 5):
        share = cell[:, k].bincount(minlength=16) / len(cell)
        assert (
            share - 1 / 16
        ).abs().max() < 0.012  # four standard deviations of sqrt(15/16/16/8000)
    assert not world["reached"].any()
    assert not world["captured"].any()
    assert CapturePrey(1, 2, 2, num_envs=5).reset()["agents", "state"].shape == (
        5,
        3,
        7,
    )  # a full grid


# ---------------------------------------------------------------------- what agents see and hear
def test_state_by_hand():
    env = CapturePrey(1, 1, 5, num_envs=1)
    world = place(env, [[4, 0], [1, 2]], [[0, 2]], [False, True], [False, True])
    expected = [
        [1, 0, 0, 0, 0, -1, 0.5],
        [0.25, 0.5, 1, 1, 1, -0.25, 0],
    ]  # (0 − 4)/4, (2 − 0)/4; (0 − 1)/4, 0
    assert env.observe(world)[0][0].tolist() == expected


def test_window_by_hand():
    """Perception agent 0 in the upper left corner of a 4×4 grid sees 3×3 cells around it; row by row."""
    env = CapturePrey(2, 2, 4, vision=1, graph="none", num_envs=1)
    world = place(env, [[0, 0], [1, 1], [0, 1], [0, 2]], [[1, 0]])
    state, observation = env.observe(world)
    own, prey, perception, action, outside = observation[0, 0].split([5, 9, 9, 9, 9])
    assert torch.equal(own, state[0, 0, :5])
    assert prey.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert perception.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert action.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]  # that at (0, 2) is out of sight
    assert outside.tolist() == [1, 1, 1, 1, 0, 0, 1, 0, 0]
    assert not observation[0, 2:, 5:].any()
    assert rows_of(env.observation_mask)[0] == list(range(41))
    assert rows_of(env.observation_mask)[3] == list(range(5))


def test_agents_on_one_cell_are_counted():
    env = CapturePrey(2, 1, 3, vision=0, graph="none", num_envs=1)
    observation = env.observe(place(env, [[1, 1]] * 3, [[1, 1]]))[1]
    assert observation[0, :2, 5:].tolist() == [[1, 2, 1, 0]] * 2


def test_action_agents_with_eyes():
    """With action_vision=0 they see who is on their own cell, and nothing else."""
    env = CapturePrey(1, 2, 4, vision=1, graph="none", action_vision=0, num_envs=1)
    world = place(env, [[1, 1], [1, 1], [1, 2]], [[1, 1]])
    prey, perception, action, outside = env.observe(world)[1][0, 1, 5:].split(9)
    own_cell = [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert (
        prey.tolist() == perception.tolist() == action.tolist() == own_cell
    )  # action agent 2 is not counted
    assert not outside.any()
    assert rows_of(env.observation_mask)[1] == [
        0,
        1,
        2,
        3,
        4,
        9,
        18,
        27,
        36,
    ]  # 5 + 4, and every 9 further


def test_the_leak_erases_what_is_near_blind_agents():
    """Perception agent at column 2, blind one at column 5, vision 2: it loses columns 3 and 4, and the prey in one."""
    at = place(CapturePrey(1, 1), [[5, 2], [5, 5]], [[5, 4]])
    clean, leaky = (
        CapturePrey(1, 1, graph="none", leak=x).observe(at)[1][0] for x in (False, True)
    )
    before, after = (x[0, 5:].view(4, 5, 5) for x in (clean, leaky))
    assert before[0].sum() == 1
    assert torch.equal(after[:, :, :3], before[:, :, :3])
    assert (after[:, :, 3:] == -1).all()
    assert torch.equal(clean[1], leaky[1])
    heard = CapturePrey(1, 1, graph="full", leak=True).observe(at)[1][0]
    assert torch.equal(heard[1, TEAM:], leaky[0])  # who listens to it loses them, too


@pytest.mark.parametrize(
    ("graph", "expected"),
    [  # perception 0-3, action 4-7
        (
            "paired",
            [
                [0, 1, 3],
                [0, 1, 2],
                [1, 2, 3],
                [0, 2, 3],
                [0, 1, 4],
                [1, 2, 5],
                [2, 3, 6],
                [0, 3, 7],
            ],
        ),
        ("bipartite_pairs", [[0], [1], [2], [3], [0, 4], [1, 5], [2, 6], [3, 7]]),
        ("full", [list(range(8))] * 8),
        ("none", [[k] for k in range(8)]),
    ],
)
def test_presets(graph, expected):
    assert rows_of(CapturePrey(graph=graph).communication_graph) == expected


def test_presets_of_lopsided_teams():
    """Perception 0, 1; action agents 2, 3, 4 hear k and k + 1, k = 0, 1, 0."""
    assert rows_of(CapturePrey(2, 3).communication_graph) == [
        [0, 1],
        [0, 1],
        [0, 1, 2],
        [0, 1, 3],
        [0, 1, 4],
    ]
    assert rows_of(CapturePrey(1, 2).communication_graph) == [[0], [0, 1], [0, 2]]
    assert rows_of(CapturePrey(0, 2).communication_graph) == [[0], [1]]


def test_what_is_heard():
    """Agent 2 hears 0 and 3, agent 0 hears 3, the others nobody; with a transposed graph 0 would hear 2."""
    graph = torch.zeros(4, 4)
    graph[2, 0] = graph[2, 3] = graph[0, 3] = 1
    env = CapturePrey(2, 2, graph=graph, num_envs=50, seed=0)
    quiet = CapturePrey(2, 2, graph="none", num_envs=50, seed=0)
    world = env.initial()
    part, observation = quiet.observe(world)[1], env.observe(world)[1]
    assert observation.shape == (50, 4, 3 * TEAM)
    assert torch.equal(observation[..., :TEAM], part)
    first, second = observation[..., TEAM:].split(TEAM, -1)
    assert torch.equal(first[:, 2], part[:, 0])
    assert torch.equal(second[:, 2], part[:, 3])
    assert torch.equal(first[:, 0], part[:, 3])
    assert not second[:, 0].any()
    assert not first[:, [1, 3]].any()
    assert not second[:, [1, 3]].any()
    told = env.observation_mask.view(4, 3, TEAM).sum(
        -1
    )  # action agent 3 is blind: it tells its five numbers
    assert told.tolist() == [[TEAM, 5, 0], [TEAM, 0, 0], [5, TEAM, 5], [5, 0, 0]]


@pytest.mark.parametrize("graph", ["paired", "bipartite_pairs", "full", "none"])
def test_padding_is_zero_and_all_else_is_alive(graph):
    env = CapturePrey(3, 2, 5, vision=1, graph=graph, num_envs=600, seed=0)
    td = env.rollout(8)
    observation = td["agents", "observation"].flatten(0, 1)
    ever = (observation != 0).any(0)
    ever[:, 4::41] |= env.observation_mask[:, 4::41]  # nobody captures by chance in so few steps
    role = ever[:, 2::41] | env.observation_mask[:, 2::41]  # the role of perception agents is 0
    ever[:, 2::41] = role
    middle = env.observation_mask[
        :, 5 + 27 + 4 :: 41
    ]  # an agent itself is never outside of the grid,
    ever[:, 5 + 27 + 4 :: 41] |= middle
    ever[:, 5 + 18 + 4 :: 41] |= middle
    assert torch.equal(ever, env.observation_mask)
    assert torch.equal(td["agents", "observation_mask"][0, 0], env.observation_mask)


def test_the_reference_window_is_heard_about_in_the_compact_form():
    options = dict(n_perception=2, n_action=1, dim=5, num_envs=30, seed=0)
    env, compact = CapturePrey(encoding="reference", **options), CapturePrey(**options)
    world = env.initial()
    window, heard = env.observe(world)[1].split([25 * 29, 2 * TEAM], -1)
    assert torch.equal(heard, compact.observe(world)[1][..., TEAM:])
    assert env.observation_mask[:, : 25 * 29].all()
    assert torch.equal(env.observation_mask[:, 25 * 29 :], compact.observation_mask[:, TEAM:])
    assert (window[:, 2].unflatten(-1, (25, 29))[..., 25:] == -1).all()


def observed(env, world):
    return env.observe(world)[1]


def after_staying(env, world):
    env.rng.manual_seed(1)
    return env.observe(env.advance(world, torch.full((env.batch_size[0], env.n_agents), STAY)))[0]


GRAPHS = {
    ("observation_graph", observed): [
        dict(graph="paired"),
        dict(graph="none"),
        dict(
            graph=[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1]]
        ),  # 2 hears a blind one, 3 hears 0
        dict(graph="none", action_vision=1),
    ],
    ("reward_graph", CapturePrey.reward): [
        dict(mode=mode) for mode in ("mixed", "cooperative", "competitive")
    ],
    ("transition_graph", after_staying): [
        dict(prey_policy=policy) for policy in ("fixed", "random")
    ],
}


@pytest.mark.parametrize(
    ("name", "look", "options"),
    [(*key, options) for key, many in GRAPHS.items() for options in many],
)
def test_graphs_are_true(name, look, options):
    """Moving agent j to another cell changes what is seen, paid or next of exactly those that the graph names."""
    env = CapturePrey(2, 2, 4, vision=1, num_envs=4000, seed=0, **options)
    world = env.initial()
    world["position"] = torch.randint(
        4, world["position"].shape, generator=torch.Generator().manual_seed(0)
    )
    world["captured"] = env.is_action.expand(4000, -1)
    before, changed = look(env, world), []
    for j in range(4):
        moved = {**world, "position": world["position"].clone()}
        moved["position"][:, j] = world["position"][:, j].roll(1, 0)
        changed.append((look(env, moved) != before).view(4000, 4, -1).any(-1).any(0))
    assert torch.equal(torch.stack(changed, 1), getattr(env, name))


# ---------------------------------------------------------------------- several prey, moving prey
def test_several_prey():
    """Prey at (0, 0) and (3, 3): the nearest in steps is seen, any can be captured, and agents count by cell."""
    env = CapturePrey(2, 3, 4, n_prey=2, mode="cooperative", num_envs=1)
    world = place(env, [[0, 1], [2, 1], [3, 3], [3, 3], [0, 0]], [[0, 0], [3, 3]])
    way = nearest(world["position"], world["prey"]) - world["position"]
    # (2, 1) is 3 steps from both: the first of equals
    assert way[0].tolist() == [[0, -1], [-2, -1], [0, 0], [0, 0], [0, 0]]
    assert torch.allclose(env.observe(world)[0][..., 5:], way / 3)
    world = env.advance(world, tensor([[STAY, STAY, CAPTURE, CAPTURE, CAPTURE]]))
    assert world["captured"][0].tolist() == [False, False, True, True, True]
    assert env.reward(world)[0].tolist() == pytest.approx(
        [-0.05, -0.05, 0.1, 0.1, 0.05]
    )  # two there, one here


def test_moving_prey_stay_on_the_grid_and_choose_uniformly():
    """From a corner of a 3×3 grid: down, right and stay; from an edge four moves; from the middle five."""
    env = CapturePrey(1, 0, 3, prey_policy="random", num_envs=6000, seed=0)
    for start, count in (([0, 0], 3), ([0, 1], 4), ([1, 1], 5), ([2, 2], 3)):
        agent = [2, 2] if start != [2, 2] else [0, 0]
        world = {
            key: value.expand(6000, *value.shape[1:])
            for key, value in place(env, [agent], [start]).items()
        }
        prey = env.advance(world, torch.full((6000, 1), STAY))["prey"][:, 0]
        cells, times = prey.unique(dim=0, return_counts=True)
        assert len(cells) == count
        assert (cells - tensor(start)).abs().sum(-1).max() == 1
        assert cells.min() >= 0
        assert cells.max() <= 2
        assert (times / 6000 - 1 / count).abs().max() < 0.025


def test_moving_prey_move_first_and_stop_when_reached(monkeypatch):
    """A prey that steps on a waiting agent can be captured in that step; a prey with an agent on it stays."""
    env = CapturePrey(0, 2, 3, prey_policy="random", num_envs=1)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: tensor([[0.0]]))  # the first legal move: up
    world = env.advance(place(env, [[1, 1], [2, 1]], [[2, 2]]), tensor([[RIGHT, CAPTURE]]))
    assert world["prey"][0].tolist() == [[1, 2]]
    assert world["reached"][0].tolist() == [True, False]  # it walked where the prey had come to
    world = env.advance(world, tensor([[STAY, STAY]]))
    assert world["prey"][0].tolist() == [[1, 2]]
    world = env.advance(place(env, [[0, 0], [1, 2]], [[2, 2]]), tensor([[STAY, CAPTURE]]))
    assert world["captured"][0].tolist() == [False, True]


def test_what_moving_prey_draw_does_not_depend_on_actions():
    """So that an audit compares like with like."""
    env = CapturePrey(2, 2, 5, n_prey=2, prey_policy="random", num_envs=4, seed=0)
    env.reset()
    state, ends = env.get_state(), []
    for action in (STAY, RIGHT):
        env.rng.set_state(state["rng"])
        world = {key: value for key, value in state.items() if key != "rng"}
        for _ in range(6):
            world = env.advance(world, torch.full((4, 4), action))
        ends.append(env.rng.get_state())
    assert torch.equal(*ends)


# ---------------------------------------------------------------------- rules, masks, algorithms
@pytest.mark.parametrize(
    "options", [{}, dict(n_prey=3), dict(mode="competitive"), dict(prey_policy="random")]
)
def test_seek_always_succeeds(options):
    """In at most 2 · 9 steps to the farthest corner and one to capture; a moving prey is found, too, if not so soon."""
    moving = "prey_policy" in options
    env = CapturePrey(num_envs=200, seed=0, **options)
    rollout = env.rollout(80 if moving else 19, env.rules["seek"](), break_when_any_done=False)
    first_end = rollout["next", "episode", "success"].cummax(1).values[:, -1]
    assert first_end.mean() >= (0.97 if moving else 1)


def test_perception_agents_cannot_capture():
    env = CapturePrey(3, 2, num_envs=2, seed=0)
    mask = env.reset()["agents", "action_mask"]
    assert mask[..., :CAPTURE].all()
    assert mask[..., CAPTURE].tolist() == [[False] * 3 + [True] * 2] * 2


TOY = (
    *(x for x in TINY if not x.startswith("env.n_agents")),
    "env=capture_prey",
    "env.dim=5",
    "env.n_perception=2",
)
ON_POLICY = {"algorithm.epochs", "algorithm.minibatches"}
OFF_POLICY = (
    "algorithm.updates=3",
    "algorithm.batch_size=16",
    "algorithm.warmup=50",
    "algorithm.capacity=120",
)


@pytest.mark.parametrize("name", ["ilvf_p", "mappo", "coma", "qmix", "maddpg"])
def test_every_algorithm_respects_the_mask(name, recipe, out):
    """A tiny run, and then samples of its actor: action agents do capture, perception agents never."""
    import ilvf

    toy = TOY
    if name in ("qmix", "maddpg"):
        toy = (*(x for x in TOY if x.partition("=")[0] not in ON_POLICY), *OFF_POLICY)
    assert recipe(name, *toy, f"out={out}") == 0
    (folder,) = (path.parent for path in out.glob("*/checkpoints"))
    assert len(list(folder.glob("pictures/episode-*.png"))) == 1
    with Image.open(*folder.glob("pictures/episode-*.gif")) as animation:
        assert animation.n_frames == 11
    policy = ilvf.load_policy(next(folder.glob("checkpoints/best*.ckpt")))
    env = CapturePrey(2, 4, 5, num_envs=400, seed=0)
    actor = getattr(policy, "actor", policy)
    if hasattr(actor, "epsilon"):
        actor.epsilon.fill_(0.5)
    action = env.rollout(3, actor)["agents", "action"]
    assert not (action[:, :, :2] == CAPTURE).any()
    assert (action[:, :, 2:] == CAPTURE).any()


# ---------------------------------------------------------------------- pictures, the command line, mistakes
@pytest.mark.parametrize(
    "options", [{}, dict(n_prey=2, prey_policy="random", encoding="reference", graph="none")]
)
def test_draw_and_animate(options, tmp_path):
    """The first episode only: the second environment is done after three steps, by the clock."""
    env = CapturePrey(2, 2, 5, vision=1, horizon=3, num_envs=2, seed=0, **options)
    rollout = env.rollout(5, break_when_any_done=False)
    for name, figure in (("now", env.draw()), ("path", env.draw(rollout, index=1))):
        figure.savefig(tmp_path / name, format="png")
        assert (tmp_path / name).stat().st_size > 5000
    env.animate(rollout, tmp_path / "episode.gif", index=1)
    with Image.open(tmp_path / "episode.gif") as animation:
        assert animation.n_frames == 4


def test_the_ceiling_from_the_command_line(recipe, tmp_path, capsys):
    assert (
        recipe(
            "evaluate",
            "policy=seek",
            "env=capture_prey",
            "algorithm.eval_episodes=8",
            f"out={tmp_path}",
        )
        == 0
    )
    page = capsys.readouterr().out
    assert float(page.partition("episode/success")[2].split()[0]) == 1
    assert {path.name for path in tmp_path.iterdir()} >= {
        "seek-capture_prey-episode.png",
        "seek-capture_prey-episode.gif",
    }


def test_the_config_has_the_defaults_of_the_class():
    import inspect

    import yaml

    config = yaml.safe_load(
        (ROOT / "recipes" / "configs" / "env" / "capture_prey.yaml").read_text()
    )
    arguments = inspect.signature(CapturePrey.__init__).parameters
    own = {
        k: p.default
        for k, p in arguments.items()
        if k not in ("self", "num_envs", "seed", "device")
    }
    assert config == own
    assert make_env("capture_prey", **config).n_agents == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(n_perception=-1), ("n_perception=-1", "at least 0")),
        (dict(n_action=2.5), ("n_action=2.5", "whole number")),
        (dict(n_perception=0, n_action=0), ("no agents",)),
        (dict(n_prey=0), ("n_prey=0", "at least 1")),
        (dict(dim=1), ("dim=1", "at least 2")),
        (dict(dim=2), ("dim=2", "4 cells", "9")),
        (dict(vision=-1), ("vision=-1", "at least 0")),
        (dict(action_vision=3), ("action_vision=3", "vision=2")),
        (dict(action_vision=-2), ("action_vision=-2", "at least -1")),
        (dict(leak=True, action_vision=1), ("leak=True", "action_vision=-1")),
        (dict(mode="mixd"), ("mode='mixd'", "mixed, cooperative, competitive")),
        (dict(prey_policy="flee"), ("prey_policy='flee'", "fixed, random")),
        (dict(encoding="onehot"), ("encoding='onehot'", "compact, reference")),
        (dict(graph="ring"), ("graph='ring'", "paired")),
        (dict(graph=torch.ones(3, 8)), ("(3, 8)", "(8, 8)", "row = receiver")),
        (dict(graph=[[1, 0], [1]]), ("graph", "8×8")),
        (dict(graph=torch.full((8, 8), 0.5)), ("True and False",)),
        (dict(horizon=0), ("horizon=0",)),
    ],
)
def test_bad_arguments(arguments, words, refused):
    with refused(*words):
        CapturePrey(**arguments)


@pytest.mark.parametrize("action", [-1, 6])
def test_actions_out_of_range(action, refused):
    env = CapturePrey(num_envs=3, seed=0)
    td = env.reset()
    td["agents", "action"] = torch.full((3, 8), STAY)
    td["agents", "action"][1, 2] = action
    with refused(str(action), "0 to 5"):
        env.step(td)
