"""States, windows and communication of Predator Capture Prey."""

import pytest
import torch

from env_helpers import rows_of
from ilvf.envs import CapturePrey
from prey_helpers import PART, world_with


# ---------------------------------------------------------------------- states and windows
def test_states_by_hand():
    """The prey relative to the agents: (0 − 4)/4, (2 − 0)/4; (0 − 1)/4, 0."""
    env = CapturePrey(1, 1, 5, num_envs=1)
    world = world_with(env, [[4, 0], [1, 2]], [[0, 2]], [False, True], [False, True])
    assert env.observe(world)[0][0].tolist() == [
        [1, 0, 0, 0, 0, -1, 0.5],
        [0.25, 0.5, 1, 1, 1, -0.25, 0],
    ]


def test_window_by_hand():
    """Perception agent 0 in the upper left corner of a 4×4 grid sees 3×3 cells, row by row."""
    env = CapturePrey(2, 2, 4, vision=1, graph="none", num_envs=1)
    world = world_with(env, [[0, 0], [1, 1], [0, 1], [0, 2]], [[1, 0]])
    state, observation = env.observe(world)
    core, prey, perception, action, outside = observation[0, 0].split([5, 9, 9, 9, 9])
    assert torch.equal(core, state[0, 0, :5])
    assert prey.tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert perception.tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 1]
    assert action.tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0]  # the one at (0, 2) is out of sight
    assert outside.tolist() == [1, 1, 1, 1, 0, 0, 1, 0, 0]
    assert not observation[0, 2:, 5:].any()
    assert rows_of(env.observation_mask)[0] == list(range(41))
    assert rows_of(env.observation_mask)[3] == list(range(5))


def test_agents_on_one_cell_are_counted():
    env = CapturePrey(2, 1, 3, vision=0, graph="none", num_envs=1)
    observation = env.observe(world_with(env, [[1, 1]] * 3, [[1, 1]]))[1]
    assert observation[0, :2, 5:].tolist() == [[1, 2, 1, 0]] * 2


def test_action_agents_with_vision_0_see_their_own_cell():
    env = CapturePrey(1, 2, 4, vision=1, graph="none", action_vision=0, num_envs=1)
    world = world_with(env, [[1, 1], [1, 1], [1, 2]], [[1, 1]])
    prey, perception, action, outside = env.observe(world)[1][0, 1, 5:].split(9)
    own_cell = [0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert prey.tolist() == own_cell
    assert perception.tolist() == own_cell
    assert action.tolist() == own_cell  # action agent 2 is on another cell
    assert not outside.any()
    own_counts = [5 + 4, 5 + 9 + 4, 5 + 18 + 4, 5 + 27 + 4]
    assert rows_of(env.observation_mask)[1] == [0, 1, 2, 3, 4, *own_counts]


def test_the_leak_erases_cells_near_blind_agents():
    """Perception agent at column 2, blind one at column 5, vision 2: columns 3 and 4 are erased."""
    world = world_with(CapturePrey(1, 1), [[5, 2], [5, 5]], [[5, 4]])
    clean = CapturePrey(1, 1, graph="none", leak=False).observe(world)[1][0]
    leaky = CapturePrey(1, 1, graph="none", leak=True).observe(world)[1][0]
    before = clean[0, 5:].view(4, 5, 5)
    after = leaky[0, 5:].view(4, 5, 5)
    assert before[0].sum() == 1  # the prey is in sight
    assert torch.equal(after[:, :, :3], before[:, :, :3])
    assert (after[:, :, 3:] == -1).all()
    assert torch.equal(clean[1], leaky[1])
    received = CapturePrey(1, 1, graph="full", leak=True).observe(world)[1][0]
    assert torch.equal(received[1, PART:], leaky[0])  # receivers lose these cells, too


# ---------------------------------------------------------------------- communication
PRESETS = {  # agents 0 to 3 perceive, 4 to 7 act
    "paired": [
        [0, 1, 3],
        [0, 1, 2],
        [1, 2, 3],
        [0, 2, 3],
        [0, 1, 4],
        [1, 2, 5],
        [2, 3, 6],
        [0, 3, 7],
    ],
    "bipartite_pairs": [[0], [1], [2], [3], [0, 4], [1, 5], [2, 6], [3, 7]],
    "full": [list(range(8))] * 8,
    "none": [[k] for k in range(8)],
}


@pytest.mark.parametrize("graph", PRESETS)
def test_communication_presets(graph):
    assert rows_of(CapturePrey(graph=graph).communication_graph) == PRESETS[graph]


@pytest.mark.parametrize(
    ("n_perception", "n_action", "expected"),
    [
        (2, 3, [[0, 1], [0, 1], [0, 1, 2], [0, 1, 3], [0, 1, 4]]),
        (1, 2, [[0], [0, 1], [0, 2]]),
        (0, 2, [[0], [1]]),
    ],
)
def test_paired_communication_of_other_teams(n_perception, n_action, expected):
    assert rows_of(CapturePrey(n_perception, n_action).communication_graph) == expected


def test_parts_of_senders_follow_the_own_part():
    """Agent 2 receives from 0 and 3, agent 0 from 3. In a transposed graph 0 receives from 2."""
    graph = torch.zeros(4, 4)
    graph[2, 0] = graph[2, 3] = graph[0, 3] = 1
    env = CapturePrey(2, 2, graph=graph, num_envs=50, seed=0)
    silent = CapturePrey(2, 2, graph="none", num_envs=50, seed=0)
    world = env.initial()
    part = silent.observe(world)[1]
    observation = env.observe(world)[1]
    assert observation.shape == (50, 4, 3 * PART)
    own, first, second = observation.split(PART, -1)
    assert torch.equal(own, part)
    assert torch.equal(first[:, 2], part[:, 0])
    assert torch.equal(second[:, 2], part[:, 3])
    assert torch.equal(first[:, 0], part[:, 3])
    assert not second[:, 0].any()
    assert not first[:, [1, 3]].any()
    assert not second[:, [1, 3]].any()
    visible = env.observation_mask.view(4, 3, PART).sum(-1)
    # blind action agents see and send five numbers
    assert visible.tolist() == [[PART, 5, 0], [PART, 0, 0], [5, PART, 5], [5, 0, 0]]


@pytest.mark.parametrize("graph", list(PRESETS))
def test_exactly_the_masked_entries_are_always_0(graph):
    """Except for entries that are 0 by the rules of the game."""
    env = CapturePrey(3, 2, 5, vision=1, graph=graph, num_envs=600, seed=0)
    td = env.rollout(8)
    mask = env.observation_mask
    assert torch.equal(td["agents", "observation_mask"][0, 0], mask)
    ever_nonzero = (td["agents", "observation"].flatten(0, 1) != 0).any(0)
    part = 5 + 4 * 9
    middle = 4  # cell of the agent itself
    entries_that_may_stay_0 = {
        "role of perception agents": 2,
        "captured, in so few random steps": 4,
        "action agents on a perception agent's own cell": 5 + 2 * 9 + middle,
        "own cell outside of the grid": 5 + 3 * 9 + middle,
    }
    for entry in entries_that_may_stay_0.values():
        ever_nonzero[:, entry::part] |= mask[:, entry::part]
    assert torch.equal(ever_nonzero, mask)


def test_with_the_reference_window_parts_of_senders_stay_compact():
    options = dict(n_perception=2, n_action=1, dim=5, num_envs=30, seed=0)
    env = CapturePrey(encoding="reference", **options)
    compact = CapturePrey(**options)
    world = env.initial()
    size = 25 * 29  # cells × (one-hot index, 4 counts)
    window, received = env.observe(world)[1].split([size, 2 * PART], -1)
    assert torch.equal(received, compact.observe(world)[1][..., PART:])
    assert env.observation_mask[:, :size].all()
    assert torch.equal(env.observation_mask[:, size:], compact.observation_mask[:, PART:])
    assert (window[:, 2].unflatten(-1, (25, 29))[..., 25:] == -1).all()  # a blind agent
