"""The influence of the ready-made tabular games, against sets worked out from their rewards."""

from dataclasses import replace

import pytest
import torch

from env_helpers import rows_of
from ilvf.envs import Tabular, make_game
from ilvf.envs.tabular.describe import describe
from ilvf.envs.tabular.game import digits
from ilvf.envs.tabular.games import NAMES


def influence_sets(game, state=None):
    """Row i as a string of its members, in one joint state, or the same in all."""
    influence = game.influence()[0]
    if state is None:
        assert (influence == influence[0]).all()
        state = 0
    return ["".join(map(str, row)) for row in rows_of(influence[state])]


# ---------------------------------------------------------------------- influence of actions
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "n", "expected"),
    [
        ("chain", 4, ["01", "12", "23", "3"]),
        ("star", 4, ["0123", "1", "2", "3"]),
        ("pairs", 4, ["01", "01", "23", "23"]),
        ("pairs", 5, ["01", "01", "23", "23", "4"]),
        ("common_cause", 3, ["0", "01", "02"]),
        ("xor", 2, ["0", "01"]),
        ("matching", 3, ["0", "1", "2"]),
        ("gifts", 4, ["01", "12", "23", "03"]),
    ],
)
def test_influence_of_the_games(name, n, expected, seed):
    """Row i: agents whose reward s_i enters (a_i in common_cause and xor), and i itself."""
    assert influence_sets(make_game(name, n_agents=n, seed=seed)) == expected


@pytest.mark.parametrize(("mode", "moved"), [(0, "1"), (1, "2"), (2, "3")])
def test_influence_of_switch_changes_with_the_mode(mode, moved):
    """The other three agents have two states each, so a mode is 8 joint states."""
    game = make_game("switch", n_agents=4)
    expected = ["0" + moved, "1", "2", "3"]
    assert influence_sets(game, 8 * mode) == expected
    assert influence_sets(game, 8 * mode + 7) == expected


def test_a_mode_of_switch_without_an_agent():
    """Two agents: in mode 1 there is no agent 2."""
    game = make_game("switch", n_agents=2)
    assert influence_sets(game, 0) == ["01", "1"]
    assert influence_sets(game, 2) == ["0", "1"]


def test_influence_travels_along_observations():
    """If agent i + 1 sees s_i, agent i influences all agents after it, and none before it."""
    game = make_game("chain", n_agents=4)
    sees_previous = torch.eye(4).roll(-1, 1).tril().bool()
    graph = torch.eye(4, dtype=torch.bool) | sees_previous
    assert influence_sets(replace(game, observation_graph=graph)) == ["0123", "123", "23", "3"]


# ---------------------------------------------------------------------- influence of states
def test_influence_of_states_has_rows_of_values():
    """On the chain V_i depends on s_{i−1} and s_i, in every joint state."""
    influence = make_game("chain", n_agents=4).state_value_influence()[0]
    assert (influence == influence[0]).all()
    assert rows_of(influence[0]) == [[0], [0, 1], [1, 2], [2, 3]]


def test_influence_of_a_state_on_the_action_value_alone_counts():
    """r_0 = ±1 by a_0 XOR s_1, π_0 uniform: V_0 = 0 for both s_1, but Q_0 is −1 or 1."""
    game = make_game("xor")
    reward = torch.zeros_like(game.reward)
    reward[0, :, :, 0] = 2 * (game.local_actions[:, 0] ^ game.local_states[:, 1:]) - 1
    game = replace(game, reward=reward)
    assert game.values().abs().max() < 1e-12
    assert game.state_spread()[0, :, 0, 1].tolist() == pytest.approx([2.0, 2.0])
    assert game.state_value_influence()[0].int().tolist() == [[[0, 1], [0, 0]]] * 2


# ---------------------------------------------------------------------- rewards of two games
CERTAIN = 40.0  # logit of an action that is always taken


def test_the_best_policy_of_matching():
    """1 per step at γ = 0.9 is a value of 10."""
    game = make_game("matching", n_agents=2)
    copies_state = torch.stack([game.local_states == action for action in range(2)], -1)
    logits = CERTAIN * copies_state.permute(1, 0, 2).double()  # [N, S, A]
    values = replace(game, logits=logits[None]).values()
    assert torch.allclose(values, torch.full_like(values, 10.0))


def test_the_dilemma_of_gifts():
    """γ = 0.9. All give: 10 each. No agent gives: 0.

    An agent that alone stops giving saves 1 per step from the next one on: 0.9 / (1 − 0.9) = 9.
    """
    game = make_game("gifts", n_agents=3)
    give = torch.zeros(1, 3, 8, 2, dtype=torch.float64)
    give[..., 1] = CERTAIN
    keep = give.flip(-1)
    agent_0_keeps = torch.cat([keep[:, :1], give[:, 1:]], 1)
    all_give, all_keep, one_keeps = (
        replace(game, logits=logits).values()[0] for logits in (give, keep, agent_0_keeps)
    )
    no_agent_in_state_1 = 0  # joint states
    all_in_state_1 = 7
    assert all_give[all_in_state_1].tolist() == pytest.approx([10.0] * 3)
    assert all_keep[no_agent_in_state_1].tolist() == pytest.approx([0.0] * 3)
    assert one_keeps[all_in_state_1, 0].item() == pytest.approx(10 + 9)
    assert one_keeps[all_in_state_1].sum() < all_give[all_in_state_1].sum()


# ---------------------------------------------------------------------- graphs
@pytest.mark.parametrize("name", NAMES)
def test_the_graphs_contain_the_exact_influence(name):
    """s_j changes V_i, and a_j changes Q_i, only where the graphs allow it."""
    n_agents = {"common_cause": 3, "xor": 2}.get(name, 4)
    env = Tabular(name, n_agents=n_agents, seed=0)
    by_state = env.game.state_value_influence()[0].any(0)  # row = value
    by_action = env.true_influence().any(0)  # row = acting agent
    off_diagonal = (by_state | by_action.T).sum() > n_agents
    assert off_diagonal == (name != "matching")
    assert not (by_state & ~env.value_graph).any()
    assert not (by_action & ~env.influence_graph).any()


def test_graphs_by_hand():
    switch = Tabular("switch", n_agents=3)
    assert rows_of(switch.transition_graph) == [[0], [1], [2]]
    assert rows_of(switch.reward_graph) == [[0], [0, 1], [0, 2]]
    assert rows_of(switch.observation_graph) == [[0], [1], [2]]
    cause = Tabular("common_cause")
    assert rows_of(cause.reward_graph) == [[0, 1, 2], [1], [2]]
    assert rows_of(cause.observation_graph) == [[0], [1], [1, 2]]
    hidden = Tabular("hidden_pairs")  # a_1 and a_2 enter s'_0, no action enters s'_1
    assert rows_of(hidden.transition_graph)[:2] == [[0, 1, 2], [0, 1]]


def test_changing_a_state_or_action_changes_its_column_of_the_reward_graph():
    game = Tabular("random", n_agents=3, game_seed=3).game
    env = Tabular(game, num_envs=64, seed=0)
    assert 3 < env.reward_graph.sum() < 9
    local = digits((2, 2, 2)).repeat_interleave(8, 0)
    action = digits((2, 2, 2)).repeat(8, 1)  # with `local`, all 64 pairs

    def rewards(local, action):
        world = {"local": local, "reward": torch.zeros(64, 3)}
        return env.reward(env.advance(world, action))

    before = rewards(local, action)
    for j in range(3):
        flip = torch.eye(3, dtype=torch.int64)[j]
        by_state = (rewards(local ^ flip, action) - before).abs()
        by_action = (rewards(local, action ^ flip) - before).abs()
        changed = (by_state + by_action).amax(0) > 1e-6
        changed[j] = True
        assert torch.equal(changed, env.reward_graph[:, j])


# ---------------------------------------------------------------------- text
def test_describe_lists_every_joint_state():
    lines = describe(make_game("switch")).splitlines()
    assert len(lines) == 1 + 8
    assert "0→01" in lines[1]
    assert "0→02" in lines[8]
