"""A tabular game as an environment, and its policy as an actor, against the game's own tables."""

from dataclasses import replace

import pytest
import torch
from torch import tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.envs import Tabular, make_game
from ilvf.envs.tabular.games import hidden_pairs

F64 = torch.float64


def test_returns_agree_with_the_exact_values():
    """4000 episodes: means within 4 standard errors of Σ_s start(s) V_i(s); 0.8^60 = 2e-6."""
    game = make_game("random", n_agents=3, seed=3, gamma=0.8)
    torch.manual_seed(0)
    rollout = Tabular(game, num_envs=4000, horizon=60, seed=1).rollout(60, game.actor())
    discount = 0.8 ** torch.arange(60)
    reward = rollout["next", "agents", "reward"].squeeze(-1)
    returns = torch.einsum("btn,t->bn", reward, discount)
    exact = (game.start.unsqueeze(-1) * game.values())[0].sum(0)
    error = returns.std(0) / 4000**0.5
    assert error.max() < 0.1
    assert ((returns.mean(0) - exact).abs() < 4 * error).all()
    assert exact.unique().numel() == 3


def test_next_states_follow_a_correlated_table():
    """s' = (0, 0) with probability 0.3, (1, 1) with 0.7; independent agents would mix them."""
    game = make_game("random", n_agents=2, seed=0)
    table = tensor([0.3, 0.0, 0.0, 0.7], dtype=F64).expand(1, 4, 4, 4)
    env = Tabular(replace(game, transition=table), num_envs=5000, seed=0)
    env.reset()
    local = env.advance(env.world, torch.zeros(5000, 2, dtype=torch.int64))["local"]
    assert (local[:, 0] == local[:, 1]).all()
    assert local[:, 0].float().mean().item() == pytest.approx(0.7, abs=4 * (0.21 / 5000) ** 0.5)


# ---------------------------------------------------------------------- random numbers
@pytest.mark.parametrize(("name", "steered"), [("chain", True), ("star", True), ("switch", False)])
def test_an_action_changes_no_other_agents_next_state(name, steered):
    """With the same random numbers; in switch it does not change the agent's own state either."""
    env = Tabular(name, n_agents=3, num_envs=200, seed=0)
    env.reset()
    before = env.rng.get_state()
    local = []
    generators = []
    for action_0 in (0, 1):
        env.rng.set_state(before)
        action = torch.zeros(200, 3, dtype=torch.int64)
        action[:, 0] = action_0
        local.append(env.advance(env.world, action)["local"])
        generators.append(env.rng.get_state())
    assert torch.equal(local[0][:, 1:], local[1][:, 1:])
    assert torch.equal(*generators)  # as many numbers are drawn
    assert torch.equal(local[0][:, 0], local[1][:, 0]) != steered


def test_an_agents_random_number_changes_only_its_own_next_state(monkeypatch):
    env = Tabular("chain", n_agents=3, num_envs=100, seed=0)
    env.reset()
    noise = torch.rand(100, 3, dtype=F64, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(torch, "rand", lambda *_, **__: noise)
    action = torch.ones(100, 3, dtype=torch.int64)
    noise[:, 0] = 0.0
    low = env.advance(env.world, action)["local"]
    noise[:, 0] = 0.999
    high = env.advance(env.world, action)["local"]
    assert torch.equal(low[:, 1:], high[:, 1:])
    assert (low[:, 0] == 0).all()
    assert (high[:, 0] == 1).all()


# ---------------------------------------------------------------------- observations and rewards
def test_observations_are_one_hot_and_masked():
    """Agent 0 has three states (modes), the others two; agent 1 also sees agent 0."""
    game = make_game("switch", n_agents=4)
    graph = torch.eye(4, dtype=torch.bool)
    graph[1, 0] = True
    env = Tabular(replace(game, observation_graph=graph), num_envs=1, seed=0)
    world = {"local": tensor([[2, 1, 0, 1]]), "reward": torch.zeros(1, 4)}
    state, observation = env.observe(world)
    assert state[0].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 1, 0]]
    assert observation[0, 0].tolist() == [0, 0, 1] + [0] * 9
    assert observation[0, 1].tolist() == [0, 0, 1, 0, 1, 0] + [0] * 6
    assert env.observation_mask[1].int().tolist() == [1, 1, 1, 1, 1, 0] + [0] * 6
    assert env.joint_state(world).tolist() == [2 * 8 + 1 * 4 + 0 * 2 + 1]


def test_rewards_are_of_the_state_before_the_step():
    """r_0 = a_0; r_1 = s_1 + a_0 in mode 0; r_2 = s_2 + a_0 in mode 1."""
    env = Tabular("switch", n_agents=3, num_envs=2, seed=0)
    world = {"local": tensor([[0, 1, 0], [1, 0, 0]]), "reward": torch.zeros(2, 3)}
    world = env.advance(world, tensor([[1, 0, 0], [1, 1, 1]]))
    assert env.reward(world).tolist() == [[1, 2, 0], [1, 0, 1]]


# ---------------------------------------------------------------------- actor
class TestActor:
    """The actor of a random game, in 50 of its states."""

    @pytest.fixture
    def game(self):
        return make_game("random", n_agents=3, seed=4)

    @pytest.fixture
    def env(self, game):
        return Tabular(game, num_envs=50, horizon=5, seed=0)

    @pytest.fixture
    def start(self, env):
        return env.reset()

    @pytest.fixture
    def policy(self, game, env, start):
        """The game's own policy in these states, `[B, N, A]`."""
        return game.policy()[0][:, env.joint_state(env.world)].transpose(0, 1).float()

    def test_its_probabilities_are_the_games(self, game, start, policy):
        found = game.actor().log_probs(start["agents", "observation"]).exp()
        assert torch.allclose(found, policy, atol=1e-6)

    def test_in_deterministic_mode_it_takes_the_most_likely_actions(self, game, start, policy):
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            agents = game.actor()(start)["agents"]
        assert torch.equal(agents["action"], policy.argmax(-1))
        assert torch.allclose(agents["action_log_prob"].exp(), policy.amax(-1), atol=1e-6)

    def test_it_samples_actions_with_their_probabilities(self, game, start, policy):
        """500 draws: within 4.5 standard deviations of at most 0.5 / sqrt(500)."""
        actor = game.actor()
        torch.manual_seed(0)
        draws = [actor(start.clone())["agents", "action"] for _ in range(500)]
        share = torch.stack(draws).float().mean(0)
        assert torch.allclose(share, policy[..., 1], atol=4.5 * 0.5 / 500**0.5)


# ---------------------------------------------------------------------- arguments
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (dict(game=make_game("chain", games=3)), ("3 games", "game[0]")),
        (dict(game=hidden_pairs(own_actions=3)), ("(2, 2, 3)", "equal")),
        (dict(game="chian"), ("chian", "chain")),
        (dict(n_agents=12), ("n_agents=12", "2 to 8", "try 8")),
        (dict(horizon=0), ("horizon=0", "at least 1")),
        (dict(game_seed=-1), ("game_seed=-1", "not negative")),
    ],
)
def test_wrong_arguments_are_refused(arguments, words, refused):
    with refused(*words):
        Tabular(**arguments)
