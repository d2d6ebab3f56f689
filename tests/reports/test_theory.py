"""The claims of the paper on tabular games, exactly.

Some hold as printed, some in another form, some do not hold.
"""

from dataclasses import replace

import pytest
import torch

from ilvf.envs import make_game
from ilvf.envs.tabular.games import hidden_pairs, random_game

EXACT = 1e-10

FAMILIES = {  # 60 random games each
    2: dict(states=(2, 3), actions=(3, 2)),
    3: dict(states=(2, 3, 2), actions=(2, 2, 3)),
    4: dict(states=(2, 2, 3, 2), actions=(2, 3, 2, 2)),
    5: dict(states=(2,) * 5, actions=(2,) * 5),
}


@pytest.fixture(scope="module")
def families():
    """Number of agents → (games, gradient of J by differentiation, without influence)."""
    found = {}
    for n, sizes in FAMILIES.items():
        games = random_game(60, **sizes, seed=n)
        found[n] = (games, games.policy_gradient())
    return found


def worst(a, b):
    """Largest difference in each game, `[G]`."""
    return (a - b).abs().amax((1, 2, 3))


def off_diagonal(x):
    return x & ~torch.eye(x.shape[-1], dtype=torch.bool)


def random_numbers(shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# ---------------------------------------------------------------------- Theorem 1
@pytest.mark.parametrize("n", FAMILIES)
class TestTheorem1:
    def test_minimal_sets_give_the_global_gradient(self, n, families):
        game, truth = families[n]
        influence = game.influence()
        assert (~influence).float().mean() > 0.1  # many agents are not in the sets
        assert truth.abs().amax((1, 2, 3)).min() > 1e-2
        assert worst(game.local_policy_gradient(influence), truth).max() < EXACT

    def test_averaged_sets_supersets_and_all_agents_give_it_too(self, n, families):
        game, truth = families[n]
        minimal = game.influence()
        averaged = game.averaged_influence()
        assert not (averaged & ~minimal).any()
        extra = random_numbers(minimal.shape, seed=n) < 0.3
        assert ((minimal | extra) != minimal).any()
        weighted = torch.where(averaged, 1.0, random_numbers(minimal.shape, seed=n))
        for influence in (averaged, minimal | extra, weighted, torch.ones(n, n)):
            assert worst(game.local_policy_gradient(influence), truth).max() < EXACT

    def test_without_a_relevant_agent_the_gradient_is_wrong(self, n, families):
        """X"""
        game, truth = families[n]
        influence = game.influence()
        coupled = off_diagonal(game.averaged_influence()).flatten(1).any(1)
        asymmetric = (game.averaged_influence() & ~influence.mT).flatten(1).any(1)
        assert min(coupled.sum(), asymmetric.sum()) > 20
        identity = worst(game.local_policy_gradient(torch.eye(n)), truth)
        transposed = worst(game.local_policy_gradient(influence.mT), truth)
        assert (identity[coupled] > 1e-3).float().mean() > 0.9
        assert (transposed[asymmetric] > 1e-3).float().mean() > 0.9
        assert identity[~coupled].sum() < EXACT
        assert transposed[~asymmetric].sum() < EXACT


@pytest.mark.parametrize("name", ["chain", "star", "switch"])
def test_transposed_sets_are_wrong_on_asymmetric_games(name):
    game = make_game(name, n_agents=4, games=5)
    truth = game.policy_gradient()
    assert worst(game.local_policy_gradient(game.influence()), truth).max() < EXACT
    assert worst(game.local_policy_gradient(game.influence().mT), truth).min() > 1e-2


def test_one_graph_for_all_states_is_not_enough_for_switch():
    """The sets change with the state: those of mode 0 are wrong elsewhere, their union is right."""
    game = make_game("switch", n_agents=3, games=5)
    truth = game.policy_gradient()
    influence = game.influence()
    assert worst(game.local_policy_gradient(influence[0, 0]), truth).min() > 1e-2
    assert worst(game.local_policy_gradient(influence[0].any(0)), truth).max() < EXACT


# ---------------------------------------------------------------------- Lemma 1
class TestLemma1:
    @pytest.mark.parametrize("n", FAMILIES)
    def test_the_rank_is_at_most_the_number_of_own_actions_less_1(self, n):
        sizes = FAMILIES[n]
        game = random_game(20, **sizes, density=0.7, seed=n)
        rank = game.policy_rank()
        bound = torch.tensor(sizes["actions"]).unsqueeze(1) - 1  # row i: the policy that changes
        assert (rank <= bound).all()
        assert (rank == bound).any()

    def test_the_printed_bound_is_wrong(self):
        """|A_0| = 3, |A_1| = 2: s_1 changes π_0 in 2 directions, more than |A_1| − 1 = 1."""
        game = random_game(states=(2, 3), actions=(3, 2), density=1.0)
        assert (game.policy_rank()[0, :, 0, 1] == 2).all()
        assert game.state_policy_influence()[0, :, 0, 1].all()

    def test_rank_by_hand(self):
        """π_0 ∝ (1, 1, 1) at s_1 = 0 and (1, 1, 2) at 1 and 2: one direction; 0 if unseen."""
        game = random_game(states=(1, 3), actions=(3, 2), density=1.0)
        logits = torch.zeros_like(game.logits)
        logits[:, 0, 1:, 2] = torch.tensor(2.0).double().log()
        game = replace(game, logits=logits)
        assert game.policy()[0, 0, 1].tolist() == pytest.approx([0.25, 0.25, 0.5])
        assert (game.policy_rank()[0, :, 0, 1] == 1).all()
        assert not game.state_policy_influence()[0, :, 0, 1].any()
        blind = replace(game, observation_graph=torch.eye(2, dtype=torch.bool))
        assert (blind.policy_rank()[0, :, 0, 1] == 0).all()


# ---------------------------------------------------------------------- Theorem 2
def theorem_2_applies(game):
    """bool `[G, S, N(i), N(j)]`: the assumptions of the corrected Theorem 2 hold.

    (a) s_j has S-P influence on π_j, (b) s_j changes no other policy, and j has no S-V influence
    on i.
    """
    a = game.state_policy_influence().diagonal(dim1=2, dim2=3)  # [G, S, N(j)]
    b = ~off_diagonal(game.policy_rank() > 0).any(2)
    return ~game.state_value_influence() & (a & b).unsqueeze(2)


def changes_by_actions(game):
    """(largest change of Q_i, of Q̄_i) by a_j, each `[G, S, N(i), N(j)]`."""
    return game.action_spread().mT, game.averaged_spread().mT


@pytest.mark.parametrize("n", FAMILIES)
def test_theorem_2_on_random_games(n, families):
    game, _ = families[n]
    where = theorem_2_applies(game)
    _, averaged = changes_by_actions(game)
    assert where.sum() > 100
    assert (~where).sum() > 100
    assert averaged[where].max() < EXACT
    assert (averaged[~where] > 1e-3).float().mean() > 0.5


@pytest.mark.parametrize(
    "options", [{}, dict(own_actions=3), dict(n_agents=4), dict(n_agents=5)], ids=str
)
def test_theorem_2_where_the_influence_averages_out(options):
    """a_2 changes Q_0 in every state of every game, but neither Q̄_0 nor the gradient."""
    game = hidden_pairs(40, **options, seed=1)
    where = theorem_2_applies(game)
    pointwise, averaged = changes_by_actions(game)
    assert where[:, :, 0, 2].all()
    assert (pointwise[:, :, 0, 2] > 1e-3).all()
    assert averaged[where].max() < EXACT
    influence = game.averaged_influence()
    assert not influence[:, :, 2, 0].any()
    assert worst(game.local_policy_gradient(influence), game.policy_gradient()).max() < EXACT


def test_theorem_2_needs_assumption_b():
    """Both policies follow s_1: V_0 = 0, but Q̄_0(s, a_1) = 1[a_1 = 1] − π(1 | s_1)."""
    game = make_game("common_cause", games=5)
    pointwise, averaged = changes_by_actions(game)
    assert game.state_policy_influence()[:, :, 1, 1].all()
    assert not game.state_value_influence()[:, :, 0, 1].any()
    assert game.policy_rank()[:, :, 2, 1].min() == 1  # only (b) is violated
    one = torch.ones(5, 2, dtype=torch.float64)
    assert averaged[:, :, 0, 1].allclose(one)
    assert pointwise[:, :, 0, 1].allclose(one)
    without = game.influence()
    without[:, :, 1, 0] = False  # what a theorem without (b) would allow
    assert worst(game.local_policy_gradient(without), game.policy_gradient()).min() > 1e-2


def test_theorem_2_needs_assumption_a():
    """The same game with uniform policies: s_1 changes no value, because it changes no policy."""
    game = make_game("common_cause")
    game = replace(game, logits=torch.zeros_like(game.logits))
    assert not game.state_policy_influence()[:, :, 1, 1].any()
    assert not off_diagonal(game.policy_rank() > 0).any()
    assert not game.state_value_influence()[:, :, 0, 1].any()
    _, averaged = changes_by_actions(game)
    assert (averaged[:, :, 0, 1] > 0.9).all()


def test_theorem_2_does_not_exclude_pointwise_influence():
    """r_0 = a_0 XOR a_1, π_0 uniform: a_1 changes Q_0 by 1, but not Q̄_0."""
    game = make_game("xor", games=5)
    pointwise, averaged = changes_by_actions(game)
    assert theorem_2_applies(game)[:, :, 0, 1].all()
    assert (pointwise[:, :, 0, 1] - 1).abs().max() < EXACT
    assert averaged[:, :, 0, 1].max() < EXACT
    assert worst(game.local_policy_gradient(torch.eye(2)), game.policy_gradient()).max() < EXACT


# ---------------------------------------------------------------------- variance
@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("name", ["chain", "star", "pairs"])
def test_variance_is_smaller_with_minimal_sets(name, n):
    """For every agent that does not influence all; for the others it is the same."""
    game = make_game(name, n_agents=n, games=5)
    influence = game.influence()
    minimal = game.gradient_variance(influence)
    team = game.gradient_variance(torch.ones(n, n))
    full = influence[0, 0].all(-1)  # [N]: the agent influences all
    assert (minimal[:, full] - team[:, full]).abs().sum() < 1e-12
    assert (minimal[:, ~full] < team[:, ~full]).all()
    expected = {
        "chain": [n == 2, *[False] * (n - 1)],
        "star": [True, *[False] * (n - 1)],
        "pairs": [n == 2] * n,
    }
    assert full.tolist() == expected[name]


def test_variance_against_sampling():
    """10^5 draws of the one-sample gradient of agent 1, which sees s_0 and s_1."""
    agent = 1
    graph = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    game = replace(make_game("chain", n_agents=3), observation_graph=graph)
    rng = torch.Generator().manual_seed(0)
    influence = game.influence()
    visits = game.visitation()[0].unsqueeze(-1) * game.joint_policy()[0]  # [S, A]
    draw = torch.multinomial(visits.flatten(), 100_000, replacement=True, generator=rng)
    s = draw // 8
    a = draw % 8
    credit = (influence[0, s, agent] * game.advantages()[0, s, a]).sum(-1)
    own = game.local_actions[a, agent]
    score = torch.nn.functional.one_hot(own, 2) - game.policy()[0, agent, s]
    g = torch.zeros(100_000, 8, 2, dtype=torch.float64)
    g[torch.arange(100_000), game.observed_states[0, agent, s]] = score * credit.unsqueeze(-1)
    variance = game.gradient_variance(influence)[0, agent].item()
    assert g.var(0).sum().item() == pytest.approx(variance, rel=0.03)
    exact = (1 - game.gamma) * game.policy_gradient()[0, agent]
    assert (g.mean(0) - exact).abs().max() < 5 * g.std(0).max() / 100_000**0.5
