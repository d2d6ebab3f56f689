"""Exact values, gradients and policies of tabular games, against numbers worked out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import tensor

from ilvf.envs import TabularGame, make_game
from ilvf.envs.tabular.game import digits, place_values
from ilvf.envs.tabular.games import hidden_pairs, random_game
from ilvf.envs.tabular.tables import product_transition

F64 = torch.float64
OWN_ACTION = [0.0, 0.0, 1.0, 1.0]  # r_0 = a_0, by joint action 00, 01, 10, 11
OTHER_ACTION = [0.0, 1.0, 0.0, 1.0]  # r_1 = a_1
NOTHING = [0.0] * 4


def one_state_game(reward_0, reward_1, p1, gamma=0.9):
    """Two agents with two actions, one joint state, P(a_i = 1) = p1[i].

    The rewards are four numbers, by joint action 00, 01, 10, 11.
    """
    logits = torch.zeros(1, 2, 1, 2, dtype=F64)
    logits[0, :, 0, 1] = tensor(p1, dtype=F64).logit()
    one = torch.ones(1, 1, dtype=F64)
    return TabularGame(
        states=(1, 1),
        actions=(2, 2),
        transition=one.expand(1, 1, 4, 1),
        reward=tensor([reward_0, reward_1], dtype=F64).T.reshape(1, 1, 4, 2),
        start=one,
        observation_graph=torch.eye(2, dtype=torch.bool),
        logits=logits,
        gamma=gamma,
    )


# ---------------------------------------------------------------------- indices and tables
def test_joint_indices_are_row_major():
    assert digits((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert place_values((2, 3, 4)).tolist() == [12, 4, 1]
    joint = (digits((2, 3, 4)) * place_values((2, 3, 4))).sum(-1)
    assert joint.tolist() == list(range(24))


def test_product_transition_by_hand():
    """P_0 = (0.3, 0.7), P_1 = (0.1, 0.9): products in row-major order."""
    parts = [tensor(p, dtype=F64).reshape(1, 1, 1, 2) for p in ([0.3, 0.7], [0.1, 0.9])]
    product = product_transition(parts).flatten().tolist()
    assert product == pytest.approx([0.03, 0.27, 0.07, 0.63])


# ---------------------------------------------------------------------- values
def test_values_of_one_state():
    """V_0 = 0.5 / (1 − 0.9) = 5;  Q_0 = a_0 + 0.9 · 5."""
    game = one_state_game(OWN_ACTION, NOTHING, [0.5, 0.3])
    assert game.values()[0, 0].tolist() == pytest.approx([5.0, 0.0])
    assert game.action_values()[0, 0, :, 0].tolist() == pytest.approx([4.5, 4.5, 5.5, 5.5])
    assert game.advantages()[0, 0, :, 0].tolist() == pytest.approx([-0.5, -0.5, 0.5, 0.5])
    assert game.joint_policy()[0, 0].tolist() == pytest.approx([0.35, 0.15, 0.35, 0.15])


def test_values_and_visitation_of_two_states():
    """The state alternates, r_0 = s: V(1) = 1 / (1 − γ²), V(0) = γ V(1).

    From state 0: d(0) = 1 / (1 − γ²), d(1) = γ d(0).
    """
    game = TabularGame(
        states=(2,),
        actions=(1,),
        transition=tensor([[0.0, 1.0], [1.0, 0.0]], dtype=F64).reshape(1, 2, 1, 2),
        reward=tensor([[0.0], [1.0]], dtype=F64).reshape(1, 2, 1, 1),
        start=tensor([[1.0, 0.0]], dtype=F64),
        observation_graph=torch.ones(1, 1, dtype=torch.bool),
        logits=torch.zeros(1, 1, 2, 1, dtype=F64),
        gamma=0.5,
    )
    assert game.values()[0, :, 0].tolist() == pytest.approx([2 / 3, 4 / 3])
    assert game.visitation()[0].tolist() == pytest.approx([4 / 3, 2 / 3])


# ---------------------------------------------------------------------- gradients
def test_gradient_of_one_state():
    """J = p / (1 − γ): ∂J/∂θ_1 = p (1 − p) / (1 − γ) = 2.5 at p = 0.5, −2.5 for the other logit."""
    game = one_state_game(OWN_ACTION, NOTHING, [0.5, 0.3])
    expected = tensor([[-2.5, 2.5], [0.0, 0.0]], dtype=F64)
    assert torch.allclose(game.policy_gradient()[0, :, 0], expected)
    assert torch.allclose(game.local_policy_gradient(torch.eye(2))[0, :, 0], expected)


def test_variance_of_one_state():
    """p = 0.8: A_0 = 0.2 with score (−0.2, 0.2), or −0.8 with score (0.8, −0.8).

    E‖g‖² = 0.8 · 0.08 · 0.04 + 0.2 · 1.28 · 0.64 = 0.1664
    E g = ±(0.8 · 0.2 · 0.2 + 0.2 · 0.8 · 0.8) = ±0.16, ‖E g‖² = 0.0512
    With r_1 = a_1 and p_1 = 0.5 the team's credit is A_0 ± 0.5, which adds
    E‖score‖² · 0.25 = (0.064 + 0.256) · 0.25 = 0.08.
    """
    game = one_state_game(OWN_ACTION, OTHER_ACTION, [0.8, 0.5])
    own = game.gradient_variance(torch.eye(2))
    team = game.gradient_variance(torch.ones(2, 2))
    assert own[0, 0].item() == pytest.approx(0.1664 - 0.0512)
    assert team[0, 0].item() == pytest.approx(0.1664 - 0.0512 + 0.08)
    assert own[0, 1].item() == pytest.approx(0.0, abs=1e-12)  # p = 0.5: both actions give one g


def test_gradient_against_finite_differences():
    game = random_game(states=(2, 2), actions=(2, 3), density=0.5, seed=5)
    exact = game.policy_gradient().flatten()
    step = 1e-6
    for k in range(len(exact)):
        change = torch.zeros_like(exact)
        change[k] = step
        change = change.view_as(game.logits)
        up = replace(game, logits=game.logits + change).objective().item()
        down = replace(game, logits=game.logits - change).objective().item()
        assert (up - down) / (2 * step) == pytest.approx(exact[k].item(), abs=1e-6)


# ---------------------------------------------------------------------- policies
def test_policies_see_what_the_graph_says():
    """Agent 0 sees s_0 and s_2, agent 1 sees s_1, agent 2 sees all."""
    game = random_game(states=(2, 2, 2), actions=(2, 3, 2), seed=1)
    graph = tensor([[1, 0, 1], [0, 1, 0], [1, 1, 1]], dtype=torch.bool)
    pi = replace(game, observation_graph=graph).policy()[0]
    by_state = pi.unflatten(1, (2, 2, 2))  # [N, s_0, s_1, s_2, Amax]
    assert torch.equal(by_state[0, :, 0], by_state[0, :, 1])
    assert not torch.allclose(by_state[0, 0], by_state[0, 1])
    assert not torch.allclose(by_state[0, :, :, 0], by_state[0, :, :, 1])
    assert torch.equal(by_state[1, 0, :, 0], by_state[1, 1, :, 1])
    assert len(by_state[2, ..., 0].unique()) == 8
    assert not pi[[0, 2], :, 2].any()  # the third action exists for agent 1 alone
    assert torch.allclose(pi.sum(-1), torch.ones(3, 8, dtype=F64))


# ---------------------------------------------------------------------- batches
WEIGHT = torch.rand(12, 3, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("values", ()),
        ("action_values", ()),
        ("visitation", ()),
        ("policy_gradient", ()),
        ("objective", ()),
        ("influence", ()),
        ("averaged_influence", ()),
        ("state_value_influence", ()),
        ("policy_rank", ()),
        ("local_policy_gradient", (WEIGHT,)),
        ("gradient_variance", (WEIGHT,)),
    ],
)
def test_a_batch_of_games_equals_single_games(name, arguments):
    games = random_game(5, states=(2, 3, 2), actions=(2, 2, 3), density=0.3, seed=2)
    batch = getattr(games, name)(*arguments).double()
    singles = torch.cat([getattr(games[g], name)(*arguments) for g in range(5)]).double()
    assert torch.allclose(batch, singles, atol=1e-12)
    assert len({x.sum().item() for x in batch}) > 1  # the games differ


def test_games_are_indexed_from_both_ends():
    games = random_game(5, seed=2)
    assert len(games[-1]) == 1
    assert torch.equal(games[-1].logits, games.logits[-1:])
    assert torch.equal(games[1:3].logits, games.logits[1:3])
    with pytest.raises(IndexError, match="5 games"):
        games[5]


# ---------------------------------------------------------------------- wrong tables and arguments
GAME = make_game("chain", n_agents=2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (dict(reward=GAME.reward[..., :1]), ("reward", "(1, 4, 4, 1)", "(1, 4, 4, 2)")),
        (dict(logits=GAME.logits.float()), ("logits", "float32", "float64")),
        (dict(transition=GAME.transition * 0.5), ("transition", "sum to 1", "0.5")),
        (dict(start=tensor([[1.5, -0.5, 0.0, 0.0]], dtype=F64)), ("start", "-0.5", "non-negative")),
        (dict(reward=GAME.reward * float("nan")), ("reward", "NaN")),
        (
            dict(observation_graph=torch.zeros(2, 2, dtype=torch.bool)),
            ("observation_graph", "diagonal"),
        ),
        (dict(observation_graph=torch.eye(2)), ("observation_graph", "boolean")),
        (dict(gamma=1.0), ("gamma=1.0", "[0, 1)")),
        (dict(states=(2, 2, 1)), ("states=(2, 2, 1)", "actions=(2, 2)")),
    ],
)
def test_wrong_tables_are_refused(change, words, refused):
    with refused(*words):
        replace(GAME, **change)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: make_game("chian"), ("chian", "chain")),
        (lambda: make_game("xor", n_agents=3), ("n_agents=3", "xor", "try 2")),
        (lambda: make_game("chain", n_agents=12), ("n_agents=12", "2 to 8", "try 8")),
        (lambda: make_game("hidden_pairs", n_agents=2), ("n_agents=2", "3 to 8", "try 3")),
        (lambda: make_game("chain", games=3).actor(), ("3 games", "game[0]")),
        (lambda: GAME.local_policy_gradient(torch.ones(3, 3)), ("(3, 3)", "(2, 2)")),
    ],
)
def test_wrong_arguments_are_refused(build, words, refused):
    with refused(*words):
        build()


def test_hidden_pairs_may_have_more_actions_for_one_agent():
    assert hidden_pairs(own_actions=3).actions == (2, 2, 3)
