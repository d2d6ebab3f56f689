"""Tabular games against numbers worked out by hand, and the environment against its own tables."""

from dataclasses import replace

import pytest
import torch
from torch import tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.envs import Tabular, TabularGame, make_game
from ilvf.envs.tabular.env import describe
from ilvf.envs.tabular.games import NAMES, hidden_pairs, product_transition, random_game
from ilvf.envs.tabular.theory import digits, place_values

F64 = torch.float64


def still(reward, p1, gamma=0.9):
    """Two agents, one joint state, P(a_i = 1) = p1[i]; reward {agent: four numbers, by joint action 00, 01, 10, 11}."""
    logits = torch.zeros(1, 2, 1, 2, dtype=F64)
    logits[0, :, 0, 1] = tensor(p1, dtype=F64).logit()
    table = tensor([reward.get(i, [0.0] * 4) for i in range(2)], dtype=F64).T.reshape(1, 1, 4, 2)
    one = torch.ones(1, 1, dtype=F64)
    return TabularGame(
        (1, 1),
        (2, 2),
        one.expand(1, 1, 4, 1),
        table,
        one,
        torch.eye(2, dtype=torch.bool),
        logits,
        gamma,
    )


OWN_ACTION = {0: [0.0, 0.0, 1.0, 1.0]}  # r_0 = a_0


# ---------------------------------------------------------------------- exact values by hand
def test_joint_indices_are_row_major():
    assert digits((2, 3)).tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]]
    assert place_values((2, 3, 4)).tolist() == [12, 4, 1]
    assert ((digits((2, 3, 4)) * place_values((2, 3, 4))).sum(-1) == torch.arange(24)).all()


def test_values_of_one_state():
    """V_0 = 0.5 / (1 − 0.9) = 5;  Q_0 = a_0 + 0.9 · 5."""
    game = still(OWN_ACTION, [0.5, 0.3])
    assert game.values()[0, 0].tolist() == pytest.approx([5.0, 0.0])
    assert game.action_values()[0, 0, :, 0].tolist() == pytest.approx([4.5, 4.5, 5.5, 5.5])
    assert game.advantages()[0, 0, :, 0].tolist() == pytest.approx([-0.5, -0.5, 0.5, 0.5])
    assert game.joint_policy()[0, 0].tolist() == pytest.approx([0.35, 0.15, 0.35, 0.15])


def test_gradient_of_one_state():
    """J = p / (1 − γ), so ∂J/∂θ_1 = p (1 − p) / (1 − γ) = 2.5 at p = 0.5, and −2.5 for the other logit."""
    game = still(OWN_ACTION, [0.5, 0.3])
    wanted = [[-2.5, 2.5], [0.0, 0.0]]
    assert torch.allclose(game.policy_gradient()[0, :, 0], tensor(wanted, dtype=F64))
    assert torch.allclose(
        game.local_policy_gradient(torch.eye(2))[0, :, 0], tensor(wanted, dtype=F64)
    )


def test_variance_of_one_state():
    """p = 0.8: A_0 = 0.2 with score (−0.2, 0.2), or −0.8 with score (0.8, −0.8).

    E‖g‖² = 0.8 · 0.08 · 0.04 + 0.2 · 1.28 · 0.64 = 0.1664, E g = ±(0.8·0.2·0.2 + 0.2·0.8·0.8) = ±0.16, ‖E g‖² = 0.0512.
    With r_1 = a_1, p = 0.5, the team's credit is A_0 ± 0.5: E‖score‖² · 0.25 = (0.064 + 0.256) · 0.25 = 0.08 more.
    """
    game = still({**OWN_ACTION, 1: [0.0, 1.0, 0.0, 1.0]}, [0.8, 0.5])
    own, team = game.gradient_variance(torch.eye(2)), game.gradient_variance(torch.ones(2, 2))
    assert own[0, 0].item() == pytest.approx(0.1152)
    assert team[0, 0].item() == pytest.approx(0.1952)
    assert own[0, 1].item() == pytest.approx(
        0.0, abs=1e-12
    )  # p = 0.5: both actions give the same g


def test_values_and_visits_of_two_states():
    """The state alternates, r_0 = s: V(1) = 1 / (1 − γ²), V(0) = γ V(1); from 0, d(0) = V(1) and d(1) = V(0)."""
    flip = tensor([[0.0, 1.0], [1.0, 0.0]], dtype=F64).reshape(1, 2, 1, 2)
    reward = tensor([[0.0], [1.0]], dtype=F64).reshape(1, 2, 1, 1)
    start, logits = tensor([[1.0, 0.0]], dtype=F64), torch.zeros(1, 1, 2, 1, dtype=F64)
    game = TabularGame(
        (2,), (1,), flip, reward, start, torch.ones(1, 1, dtype=torch.bool), logits, 0.5
    )
    assert game.values()[0, :, 0].tolist() == pytest.approx([2 / 3, 4 / 3])
    assert game.visitation()[0].tolist() == pytest.approx([4 / 3, 2 / 3])


def test_policies_see_what_the_graph_says():
    """Tied logits: agent 0 sees s_0 and s_2, so its policy is the same for both values of s_1 and for nothing else."""
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


def test_a_batch_equals_single_games():
    games = random_game(5, states=(2, 3, 2), actions=(2, 2, 3), density=0.3, seed=2)
    weight = torch.rand(12, 3, 3, generator=torch.Generator().manual_seed(0))
    for name, arguments in {
        **dict.fromkeys(
            ("values", "action_values", "visitation", "policy_gradient", "objective"), ()
        ),
        **dict.fromkeys(
            ("influence", "averaged_influence", "state_value_influence", "policy_rank"), ()
        ),
        **dict.fromkeys(("local_policy_gradient", "gradient_variance"), (weight,)),
    }.items():
        many = getattr(games, name)(*arguments).double()
        one = torch.cat([getattr(games[g], name)(*arguments) for g in range(5)]).double()
        assert torch.allclose(many, one, atol=1e-12), name
        assert len({x.sum().item() for x in many}) > 1, name  # games do differ
    assert len(games[-1]) == 1
    assert torch.equal(games[-1].logits, games.logits[-1:])


def test_gradient_against_finite_differences():
    game = random_game(states=(2, 2), actions=(2, 3), density=0.5, seed=5)
    exact, step = game.policy_gradient().flatten(), 1e-6
    for k in range(len(exact)):
        e = torch.zeros_like(exact)
        e[k] = step
        up, down = (
            replace(game, logits=game.logits + s * e.view_as(game.logits)).objective().item()
            for s in (1, -1)
        )
        assert (up - down) / (2 * step) == pytest.approx(exact[k].item(), abs=1e-6)


# ---------------------------------------------------------------------- the ready-made games
def sets(game, state=None):
    """Rows of the influence as strings, which must be the same at all states unless one is named."""
    influence = game.influence()[0]
    if state is None:
        assert (influence == influence[0]).all()
    row = influence[0 if state is None else state]
    return [
        "".join(str(j) for j in range(game.n_agents) if row[i, j]) for i in range(game.n_agents)
    ]


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
    """By hand from the rewards: row i = the agents whose reward s_i enters (a_i for the last two), and i itself."""
    assert sets(make_game(name, n_agents=n, seed=seed)) == expected


def test_the_best_of_matching_and_the_dilemma_of_gifts():
    """γ = 0.9: 1 per step is 10. All give: 10 each; nobody gives: 0; who alone stops giving from state 1 gains 9."""
    sure = 40.0  # logit of a certain action
    game = make_game("matching", n_agents=2)
    copies = (
        torch.stack([game.local_states == b for b in range(2)], -1).permute(1, 0, 2).double()
    )  # [N, S, A]
    assert torch.allclose(
        replace(game, logits=sure * copies[None]).values(), torch.tensor(10.0).double()
    )
    game = make_game("gifts", n_agents=3)
    everybody, nobody = torch.zeros(1, 3, 8, 2).double(), torch.zeros(1, 3, 8, 2).double()
    everybody[..., 1], nobody[..., 0] = sure, sure
    alone = everybody.clone()
    alone[0, 0] = nobody[0, 0]
    given, kept, stopped = (replace(game, logits=x).values()[0] for x in (everybody, nobody, alone))
    assert torch.allclose(
        given[7], torch.full((3,), 10.0).double()
    )  # from the state in which all give
    assert torch.allclose(kept[0], torch.zeros(3).double())
    assert stopped[7, 0].item() == pytest.approx(
        10 + 9
    )  # from the next step on it saves 1: 0.9 / (1 − 0.9)
    assert stopped[7].sum() < given[7].sum()


def test_influence_of_switch_changes_with_the_mode():
    game = make_game(
        "switch", n_agents=4
    )  # modes 0, 1, 2; the others have two states, so a mode lasts 8 joint states
    for mode, moved in enumerate("123"):
        assert sets(game, 8 * mode) == sets(game, 8 * mode + 7) == ["0" + moved, "1", "2", "3"]
    two = make_game("switch", n_agents=2)
    assert (sets(two, 0), sets(two, 2)) == (
        ["01", "1"],
        ["0", "1"],
    )  # in mode 1 there is no agent 2


def test_influence_travels_along_observations():
    """Once agent i + 1 sees s_i, what agent i does reaches everybody further down the chain, and nobody above."""
    game = make_game("chain", n_agents=4)
    seen = torch.eye(4, dtype=torch.bool) | torch.eye(4).roll(-1, 1).tril().bool()
    assert sets(replace(game, observation_graph=seen)) == ["0123", "123", "23", "3"]


def test_state_influence_runs_the_other_way():
    """Row = value, column = state: on the chain V_i depends on s_{i−1} and s_i, at every joint state."""
    moved = make_game("chain", n_agents=4).state_value_influence()[0]
    assert (moved == moved[0]).all()
    assert moved[0].int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_state_influence_on_the_action_value_alone_counts():
    """r_0 = ±1 by a_0 XOR s_1 and π_0 uniform: V_0 = 0 whatever s_1, and Q_0 moves between −1 and 1."""
    game = make_game("xor")
    reward = torch.zeros_like(game.reward)
    reward[0, :, :, 0] = 2 * (game.local_actions[:, 0] ^ game.local_states[:, 1:]) - 1
    game = replace(game, reward=reward)
    assert game.values().abs().max() < 1e-12
    assert game.state_spread()[0, :, 0, 1].tolist() == pytest.approx([2.0, 2.0])
    assert game.state_value_influence()[0].int().tolist() == [[[0, 1], [0, 0]]] * 2


@pytest.mark.parametrize("name", NAMES)
def test_the_graphs_contain_what_is_exact(name):
    """s_j moves V_i, and a_j moves Q_i, only where `value_graph` and `influence_graph` allow it."""
    env = Tabular(name, n_agents={"common_cause": 3, "xor": 2}.get(name, 4), seed=0)
    moved, acted = env.game.state_value_influence()[0].any(0), env.true_influence().any(0).T
    assert ((moved | acted).sum() > env.n_agents) != (
        name == "matching"
    )  # only there, nothing beside the diagonal
    assert not (moved & ~env.value_graph).any()
    assert not (acted.T & ~env.influence_graph).any()


def test_graphs_by_hand():
    env = Tabular("switch", n_agents=3)
    assert env.transition_graph.int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert env.reward_graph.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert env.observation_graph.int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    cause = Tabular("common_cause")
    assert cause.reward_graph.int().tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 1]]
    assert cause.observation_graph.int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    hidden = Tabular(
        "hidden_pairs"
    )  # a_1 and a_2 nudge s'_0, s_1' is not steered by anybody's action
    assert hidden.transition_graph[0].all()
    assert hidden.transition_graph[1].int().tolist() == [1, 1, 0]


def test_reward_graph_is_true_of_the_rewards():
    """Moving s_j or a_j alone changes r_i somewhere, exactly where the graph says so."""
    env = Tabular("random", n_agents=3, game_seed=3)
    assert 0 < (env.reward_graph & ~torch.eye(3, dtype=torch.bool)).sum() < 6
    states, actions = digits((2, 2, 2)), digits((2, 2, 2))
    env = Tabular(env.game, num_envs=64, seed=0)
    world = {"local": states.repeat_interleave(8, 0), "reward": torch.zeros(64, 3)}
    action = actions.repeat(8, 1)
    before = env.reward(env.advance(world, action))
    for j in range(3):
        flip = torch.eye(3, dtype=torch.int64)[j]
        other_state = env.reward(env.advance({**world, "local": world["local"] ^ flip}, action))
        other_action = env.reward(env.advance(world, action ^ flip))
        changed = ((other_state - before).abs() + (other_action - before).abs()).amax(0) > 1e-6
        changed[j] = True
        assert torch.equal(changed, env.reward_graph[:, j])


# ---------------------------------------------------------------------- the environment
def test_returns_agree_with_the_exact_values():
    """Mean discounted return of 4000 episodes within 4 standard errors of Σ_s start(s) V_i(s); γ^60 = 2e-6."""
    game = make_game("random", n_agents=3, seed=3, gamma=0.8)
    torch.manual_seed(0)
    rollout = Tabular(game, num_envs=4000, horizon=60, seed=1).rollout(60, game.actor())
    discount = 0.8 ** torch.arange(60)
    returns = torch.einsum("btn,t->bn", rollout["next", "agents", "reward"].squeeze(-1), discount)
    exact = (game.start.unsqueeze(-1) * game.values())[0].sum(0)
    error = returns.std(0) / 4000**0.5
    assert error.max() < 0.1
    assert ((returns.mean(0) - exact).abs() < 4 * error).all()
    assert exact.unique().numel() == 3


def test_next_states_follow_a_correlated_table():
    """s' = (0, 0) or (1, 1) with probability 0.3 and 0.7: marginals alone would mix them."""
    game = make_game("random", n_agents=2, seed=0)
    table = tensor([0.3, 0.0, 0.0, 0.7], dtype=F64)
    env = Tabular(replace(game, transition=table.expand(1, 4, 4, 4)), num_envs=5000, seed=0)
    env.reset()
    local = env.advance(env.world, torch.zeros(5000, 2, dtype=torch.int64))["local"]
    assert (local[:, 0] == local[:, 1]).all()
    assert local[:, 0].float().mean().item() == pytest.approx(0.7, abs=4 * (0.21 / 5000) ** 0.5)


@pytest.mark.parametrize("name", ["chain", "star", "switch"])
def test_common_random_numbers(name):
    """With the same noise, another action of agent 0 changes nobody else's next state, and some of its own."""
    env = Tabular(name, n_agents=3, num_envs=200, seed=0)
    env.reset()
    noise, after = env.rng.get_state(), []
    for a0 in (0, 1):
        env.rng.set_state(noise)
        action = torch.zeros(200, 3, dtype=torch.int64)
        action[:, 0] = a0
        after.append(env.advance(env.world, action)["local"])
        after.append(env.rng.get_state())
    assert torch.equal(after[0][:, 1:], after[2][:, 1:])
    assert torch.equal(after[1], after[3])  # as many numbers drawn
    assert torch.equal(after[0][:, 0], after[2][:, 0]) == (
        name == "switch"
    )  # whose agent 0 cannot move its state


def test_an_agents_noise_is_its_own(monkeypatch):
    env = Tabular("chain", n_agents=3, num_envs=100, seed=0)
    env.reset()
    noise = torch.rand(100, 3, dtype=F64, generator=torch.Generator().manual_seed(3))
    action = torch.ones(100, 3, dtype=torch.int64)
    local = []
    for first in (0.0, 0.999):
        noise[:, 0] = first
        monkeypatch.setattr(torch, "rand", lambda *_, **__: noise)
        local.append(env.advance(env.world, action)["local"])
    assert torch.equal(local[0][:, 1:], local[1][:, 1:])
    assert (local[0][:, 0] == 0).all()
    assert (local[1][:, 0] == 1).all()


def test_observations_are_one_hot_and_masked():
    game = make_game("switch", n_agents=4)  # three modes, two states for the others
    seen = torch.eye(4, dtype=torch.bool)
    seen[1, 0] = True
    env = Tabular(replace(game, observation_graph=seen), num_envs=1, seed=0)
    world = {"local": tensor([[2, 1, 0, 1]]), "reward": torch.zeros(1, 4)}
    state, observation = env.observe(world)
    assert state[0].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert observation[0, 0].tolist() == [0, 0, 1] + [0] * 9
    assert observation[0, 1].tolist() == [0, 0, 1, 0, 1, 0] + [0] * 6
    assert env.observation_mask[1].int().tolist() == [1, 1, 1, 1, 1, 0] + [0] * 6
    assert env.joint_state(world).tolist() == [2 * 8 + 1 * 4 + 0 * 2 + 1]


def test_rewards_belong_to_the_state_that_was_left():
    env = Tabular("switch", n_agents=3, num_envs=2, seed=0)
    world = {"local": tensor([[0, 1, 0], [1, 0, 0]]), "reward": torch.zeros(2, 3)}
    world = env.advance(world, tensor([[1, 0, 0], [1, 1, 1]]))
    # r_0 = a_0; r_1 = s_1 + a_0 in mode 0; r_2 = s_2 + a_0 in mode 1
    assert env.reward(world).tolist() == [[1, 2, 0], [1, 0, 1]]


def test_the_actor_is_the_games_policy():
    game = make_game("random", n_agents=3, seed=4)
    env, actor = Tabular(game, num_envs=50, horizon=5, seed=0), game.actor()
    td = env.reset()
    exact = game.policy()[0][:, env.joint_state(env.world)].transpose(0, 1)  # [B, N, A]
    assert torch.allclose(
        actor.log_probs(td["agents", "observation"]).exp(), exact.float(), atol=1e-6
    )
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        out = actor(td.clone())
    assert torch.equal(out["agents", "action"], exact.argmax(-1))
    assert torch.allclose(out["agents", "action_log_prob"].exp(), exact.amax(-1).float(), atol=1e-6)
    torch.manual_seed(0)
    share = (
        torch.stack([actor(td.clone())["agents", "action"] for _ in range(2000)]).float().mean(0)
    )
    assert torch.allclose(share, exact[..., 1].float(), atol=4.5 * 0.5 / 2000**0.5)


def test_describe_lists_every_joint_state():
    text = describe(make_game("switch"))
    assert len(text.splitlines()) == 1 + 8
    assert "0→01" in text.splitlines()[1]
    assert "0→02" in text.splitlines()[8]


# ---------------------------------------------------------------------- refusals
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
def test_bad_tables(change, words, refused):
    with refused(*words):
        replace(GAME, **change)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: make_game("chian"), ("chian", "chain")),
        (lambda: make_game("xor", n_agents=3), ("n_agents=3", "xor", "try 2")),
        (lambda: make_game("chain", n_agents=12), ("n_agents=12", "2 to 8", "try 8")),
        (lambda: Tabular(make_game("chain", games=3)), ("3 games", "game[0]")),
        (lambda: make_game("chain", games=3).actor(), ("3 games", "game[0]")),
        (lambda: Tabular(hidden_pairs(own_actions=3)), ("(2, 2, 3)", "equal")),
        (lambda: GAME.local_policy_gradient(torch.ones(3, 3)), ("(3, 3)", "(2, 2)")),
    ],
)
def test_bad_arguments(build, words, refused):
    with refused(*words):
        build()


def test_product_transition_by_hand():
    """P_0 = (0.3, 0.7), P_1 = (0.1, 0.9): products in row-major order."""
    parts = [tensor(p, dtype=F64).reshape(1, 1, 1, 2) for p in ([0.3, 0.7], [0.1, 0.9])]
    assert product_transition(parts).flatten().tolist() == pytest.approx([0.03, 0.27, 0.07, 0.63])
