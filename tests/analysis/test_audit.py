"""The audit against exact answers: which influences exist, how large they are, what a Ŵ costs."""

import functools

import pytest
import torch

from ilvf.analysis import Audit, Interventions, audit, visited_states
from ilvf.envs import Encircle, Tabular, TabularGame, make_game
from ilvf.modules import CategoricalActor

QUIET = dict(progress=False)
OFF_DIAGONAL = ~torch.eye(4, dtype=torch.bool)
SIZES = dict(states=192, batch=4096, actions=6, repeats=8, steps=30)
SIZES_OF = {  # the effects of the random game are small
    "random": dict(states=256, batch=4096, actions=4, repeats=32, steps=20)
}


def measure(game, states=96, steps=60, batch=768, seed=0, horizon=20, **options):
    """(states that the game's own policy visits, their audit)."""
    actor = game.actor()
    source = Tabular(game, num_envs=states, horizon=horizon, seed=seed)
    visited = visited_states(source, actor, seed=seed)
    env = Tabular(game, num_envs=batch, horizon=steps)
    return visited, audit(env, actor, visited, gamma=game.gamma, seed=seed, **QUIET, **options)


@functools.cache
def measured(name):
    """(game of four agents, visited states, audit), shared by the tests of this file."""
    game = make_game(name, n_agents=4, seed=3)
    return game, *measure(game, **SIZES_OF.get(name, SIZES))


def joint_states(game, visited):
    return Tabular(game, num_envs=len(visited["local"])).joint_state(visited)


def exact_differences(game, visited, interventions):
    """δ = Q_j(s, b, a_−i) − Q_j(s, a) from the tables, for the drawn actions: `[K, M, N, A, N]`."""
    s = joint_states(game, visited)
    q = game.action_values()[0]  # [S, A, N]
    place = torch.tensor([2**k for k in reversed(range(game.n_agents))])  # all have two actions
    action = interventions.action
    joint = (action * place).sum(-1)
    out = torch.zeros(*action.shape, 2, game.n_agents, dtype=torch.float64)
    for i in range(game.n_agents):
        for b in range(2):
            other = joint + (b - action[..., i]) * place[i]
            out[:, :, i, b] = q[s.unsqueeze(1), other] - q[s.unsqueeze(1), joint]
    return out


def exact_effects(game, visited, interventions):
    """Root mean square of δ over states, joint actions and alternatives, `[N, N]`."""
    squares = exact_differences(game, visited, interventions).square().sum((1, 3)).mean(0)
    counts = interventions.alternatives.sum((1, 3))[0].unsqueeze(-1)
    return (squares / counts).sqrt()


def exact_bias_of_own_return(game, s):
    """What Ŵ = I omits of the gradient in the states s, from exact Q̄."""
    omitted, whole = 0.0, 0.0
    for i in range(game.n_agents):
        q = game.average_over_others(game.action_values(), i)[0, s]  # [K, A, N]
        p = game.policy()[0, i, s].unsqueeze(-1)
        gradient = p * (q - (p * q).sum(1, keepdim=True))
        whole += gradient.sum(-1).square().sum()
        omitted += (gradient.sum(-1) - gradient[..., i]).square().sum()
    return float((omitted / whole).sqrt())


# ---------------------------------------------------------------------- sets and sizes
@pytest.mark.slow
@pytest.mark.parametrize("name", ["chain", "pairs", "random"])
def test_it_finds_the_exact_sets_and_effects(name):
    """No missed pair and no false one against eq. 4, and the intervals hold the true effects."""
    game, visited, found = measured(name)
    real = game.influence()[0, joint_states(game, visited)].any(0)
    assert torch.equal(found.significant[OFF_DIAGONAL], real[OFF_DIAGONAL])
    effect = exact_effects(game, visited, found.measured)
    inside = (found.low <= effect + 1e-9) & (effect <= found.high + 1e-9)
    assert inside[real].float().mean() >= 0.8  # 95 % intervals of 7 to 16 correlated effects
    assert torch.allclose(found.effect, effect, atol=0.15, rtol=0.25)


@pytest.mark.slow
def test_it_sees_influence_change_with_the_state():
    game = make_game("switch", n_agents=3)
    sets = Tabular(game).true_influence()
    assert not torch.equal(sets[0], sets[-1])
    off_diagonal = ~torch.eye(3, dtype=torch.bool)
    for s in (0, len(sets) - 1):
        local = game.local_states[s].expand(48, -1).clone()
        states = {"local": local, "reward": torch.zeros(48, 3)}
        env = Tabular(game, num_envs=512)
        found = audit(env, game.actor(), states, gamma=game.gamma, **QUIET)
        assert torch.equal(found.significant[off_diagonal], sets[s][off_diagonal])


@pytest.mark.slow
def test_power_grows_with_the_number_of_states():
    game, _, found = measured("chain")
    real = game.influence()[0].any(0) & OFF_DIAGONAL
    few = found.detected(4)[real].mean()
    many = found.detected(96)[real].mean()
    assert few < 0.5
    assert many > 0.8


# ---------------------------------------------------------------------- bias and variance
@pytest.mark.slow
def test_the_bias_of_own_returns_is_that_of_the_tables():
    """The minimal sets and Ŵ = 1 omit nothing of the gradient; Ŵ = I omits the exact share."""
    game, visited, found = measured("chain")
    s = joint_states(game, visited)
    assert found.cost(game.influence()[0, s].float())["bias"] < 0.02
    assert found.cost(torch.ones(4, 4))["bias"] == 0
    exact = exact_bias_of_own_return(game, s)
    cost = found.cost(torch.eye(4))
    assert cost["bias"] == pytest.approx(exact, rel=0.1)
    assert cost["bias_low"] < exact < cost["bias_high"]


@pytest.mark.slow
def test_less_credit_has_less_variance():
    game, _, found = measured("pairs")
    minimal = found.cost(game.influence()[0, 0].float())["variance"]
    own = found.cost(torch.eye(4))["variance"]
    assert own < minimal < 0.8
    ones = found.cost(torch.ones(4, 4))
    assert ones["variance"] == pytest.approx(1)
    assert ones["break_even"] == 0


@pytest.mark.slow
def test_with_fewer_samples_than_break_even_bias_costs_less_than_variance():
    """At B samples the errors are  ‖omitted‖² + variance / B  and  variance of ones / B."""
    _, _, found = measured("chain")
    own = torch.eye(4).expand(len(found.evidence), 4, 4)
    even = found.cost(torch.eye(4))["break_even"]
    assert 0 < even < float("inf")
    omitted = found._squared_gradient(1 - own).mean()
    with_own = omitted + found._gradient_variance(own) / even
    with_all = found._gradient_variance(torch.ones_like(own)) / even
    assert torch.isclose(with_own, with_all)


@pytest.mark.parametrize("actions", [4, 16])
def test_the_variance_of_own_returns_is_that_of_the_tables(actions):
    """r_0 = a_0 XOR a_1 with fair coins, r_1 = 0, one step.

    Agent 0's term is the same with Ŵ = 1 and Ŵ = I. Agent 1's, as large by symmetry, vanishes with
    Ŵ = I. So the ratio is one half.
    """
    game = make_game("xor")
    assert (game.reward[..., 1] == 0).all()
    _, found = measure(game, states=512, batch=4096, steps=1, actions=actions, repeats=2)
    assert found.cost(torch.eye(2))["variance"] == pytest.approx(0.5, abs=0.05)


def test_pointwise_influence_that_averages_out_has_no_bias():
    """r_0 = a_0 XOR a_1 with a uniform π_0.

    A change of a_1 always changes r_0 by 1, and its mean over a_0 by nothing.
    """
    _, found = measure(make_game("xor"), states=64, steps=1, actions=16)
    assert found.significant[1, 0]
    assert found.effect[1, 0].item() == pytest.approx(1.0, abs=1e-6)
    assert found.cost(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))["bias"] < 0.1


# ---------------------------------------------------------------------- false alarms
def coin_game():
    """a_0 decides whether s_0' and s_1' are equal or opposite; each alone is a fair coin."""
    bits = torch.cartesian_prod(*[torch.arange(2)] * 2)  # joint states and joint actions
    opposite = bits[:, 0] != bits[:, 1]
    chosen = opposite == (bits[:, 0] == 1).unsqueeze(1)  # [A, S']
    move = torch.where(chosen, 0.5, 0.0).double()
    reward = torch.zeros(1, 4, 4, 2, dtype=torch.float64)
    reward[0, :, :, 1] = 10.0 * bits[:, 1].double().unsqueeze(1)
    return TabularGame(
        states=(2, 2),
        actions=(2, 2),
        transition=move.expand(1, 4, 4, 4).clone(),
        reward=reward,
        start=torch.full((1, 4), 0.25, dtype=torch.float64),
        observation_graph=torch.eye(2, dtype=torch.bool),
        logits=torch.zeros(1, 2, 4, 2, dtype=torch.float64),
    )


@pytest.mark.slow
def test_noise_alone_raises_no_more_false_alarms_than_the_level():
    """Every action of agent 0 changes agent 1's future, but not its mean."""
    game = coin_game()
    assert not game.influence()[0, :, 0, 1].any()
    sizes = dict(states=24, steps=2, horizon=2, batch=192, actions=2, repeats=4)
    alarms, changed = 0, 0
    for seed in range(60):
        _, found = measure(game, seed=seed, level=0.1, **sizes)
        alarms += int(found.significant[0, 1])
        changed += int(found.measured.effect[:, :, :, 0, :, 1].abs().max() > 1)
    assert changed == 60
    # One of the two pairs can be wrong, each at 0.05: binomial(60, 0.05) exceeds 8 once in 300.
    assert alarms <= 8


@pytest.mark.slow
def test_impossible_influence_is_never_found():
    """Effects that the graphs of Encircle exclude are 0 to the last bit."""
    torch.manual_seed(0)
    env = Encircle(6, num_envs=250, horizon=15, seed=0)
    actor = CategoricalActor(6, env.observation_dim, 5, hidden=16, gain=1.0)
    visited = visited_states(Encircle(6, num_envs=16, horizon=15, seed=1), actor)
    found = audit(env, actor, visited, actions=2, repeats=4, **QUIET)
    impossible = ~env.influence_graph
    assert not found.effect[impossible].any()
    assert not found.significant[impossible].any()
    assert (found.effect[env.reward_graph.T] > 0).all()


# ---------------------------------------------------------------------- agreement
def audit_with(significant):
    """An audit with these significant pairs and nothing else in it."""
    n = len(significant)
    blank = Interventions(
        effect=torch.zeros(1, 1, 2, n, 2, n),
        returns=torch.zeros(1, 1, 2, n),
        action=torch.zeros(1, 1, n).long(),
        policy=torch.ones(1, n, 2) / 2,
    )
    zeros = torch.zeros(n, n)
    return Audit(zeros, zeros, zeros, zeros, significant, torch.zeros(1, n, n), blank, 0.05)


def test_agreement_averages_over_states_and_leaves_the_diagonal_out():
    """Of 8 comparisons 0.6 (true) against 0.7 (false) is wrong; 2 of 6 pairs are true."""
    real = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    weight = torch.tensor([[0.0, 0.9, 0.7], [0.6, 0.0, 0.1], [0.1, 0.1, 0.0]])
    scores = audit_with(real).agreement(torch.stack([weight + 0.05, weight - 0.05]))
    assert scores["auroc"] == pytest.approx(7 / 8)
    assert scores["share_of_true_pairs"] == pytest.approx(2 / 6)


def test_without_a_significant_pair_there_is_no_ranking():
    scores = audit_with(torch.eye(4, dtype=torch.bool)).agreement(torch.rand(4, 4))
    assert scores["auroc"] != scores["auroc"]  # NaN
    assert scores["average_precision"] != scores["average_precision"]
    assert scores["share_of_true_pairs"] == 0


def test_matrices_of_another_size_are_refused(refused):
    found = audit_with(torch.eye(3, dtype=torch.bool))
    with refused("(4, 4)", "(3, 3)"):
        found.cost(torch.eye(4))
    with refused("(2, 2)", "3, 3"):
        found.agreement(torch.eye(2))


def test_one_state_is_no_sample(refused):
    found = audit_with(torch.eye(3, dtype=torch.bool))
    with refused("at least two states"):
        found.detected(1)
