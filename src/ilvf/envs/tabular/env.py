"""A tabular game as an environment; `ilvf.envs.tabular` describes the task."""

import torch
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.options import TabularOptions
from ilvf.envs.tabular import dependencies
from ilvf.envs.tabular.game import place_values
from ilvf.envs.tabular.games import make_game
from ilvf.envs.tabular.theory import TabularGame
from ilvf.errors import require
from ilvf.options import configure
from ilvf.options.arguments import require_device


class Tabular(BatchedEnv):
    """`num_envs` copies of one tabular game; `ilvf.envs.tabular` describes the task.

    Args:
        game: a name that `make_game` knows, or one `TabularGame`, for which `n_agents` and
            `game_seed` have no effect.
        n_agents: N of a named game.
        num_envs: B, environments stepped together.
        horizon: steps until truncation.
        game_seed: of the game's policy, and of the tables of random games.
        seed: of the environment's generator; None draws one from torch's generator.
        device: device of all tensors.

    Raises:
        UsageError: an argument is out of bounds, or the game has several copies or agents with
            different numbers of actions.
    """

    def __init__(
        self,
        game: str | TabularGame = TabularOptions.game,
        *,
        n_agents: int = TabularOptions.n_agents,
        num_envs: int = 1,
        horizon: int = TabularOptions.horizon,
        game_seed: int = TabularOptions.game_seed,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        values = dict(n_agents=n_agents, horizon=horizon, game_seed=game_seed)
        options = configure(TabularOptions, values, "Tabular")
        if not isinstance(game, TabularGame):
            game = make_game(game, n_agents=options.n_agents, seed=options.game_seed)
        require(
            len(game) == 1,
            f"{len(game)} games are too many for one environment; pick one, such as game[0]",
        )
        require(
            len(set(game.actions)) == 1,
            f"actions={game.actions}: agents with different numbers of actions "
            "are not supported; make them all equal",
        )
        self.game = game
        self.n_agents = game.n_agents
        self.n_actions = game.actions[0]
        self.state_dim = max(game.states)
        self.observation_dim = self.n_agents * self.state_dim
        self._make_constants(require_device("Tabular", device))
        super().__init__(num_envs=num_envs, horizon=options.horizon, seed=seed, device=device)

    def _make_constants(self, device: torch.device) -> None:
        game = self.game
        self._transition = game.transition[0].detach().to(device)  # [S, A, S]
        self._reward = game.reward[0].detach().to(device)  # [S, A, N]
        self._start = game.start[0].detach().to(device)  # [S]
        self._state_places = place_values(game.states).to(device)
        self._action_places = place_values(game.actions).to(device)
        self._sees = game.observation_graph[0].to(device)
        exists = torch.arange(self.state_dim) < torch.tensor(game.states).unsqueeze(1)  # [N, D]
        self._observation_mask = (self._sees.unsqueeze(-1) & exists.to(device)).flatten(1)

    # ------------------------------------------------------------------ graphs
    @property
    def observation_graph(self) -> Tensor:
        return self._sees

    @property
    def transition_graph(self) -> Tensor:
        """From the tables, see `dependencies.transition_graph`."""
        return dependencies.transition_graph(self.game).to(self.device)

    @property
    def reward_graph(self) -> Tensor:
        """From the tables: s_j or a_j enters r_i(s, a)."""
        return dependencies.reward_graph(self.game).to(self.device)

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    def true_influence(self) -> Tensor:
        """N_i^+ of the game's own policy, bool `[S, N, N]`: joint state, acting agent, return."""
        return self.game.influence()[0].to(self.device)

    def joint_state(self, world: World) -> Tensor:
        """Index of the joint state, `[B]`."""
        return (world["local"] * self._state_places).sum(-1)

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        b = self.batch_size[0]
        return {
            "local": self._draw(self._start.expand(b, -1)),
            "reward": torch.zeros(b, self.n_agents, device=self.device),
        }

    def advance(self, world: World, action: Tensor) -> World:
        s = self.joint_state(world)
        a = (action * self._action_places).sum(-1)
        return {
            **world,
            "local": self._draw(self._transition[s, a]),
            "reward": self._reward[s, a].float(),
        }

    def _draw(self, probability: Tensor) -> Tensor:
        """Local states `[B, N]` from joint distributions `[B, S]`.

        Agent by agent, each from one uniform number of its own.
        """
        b = len(probability)
        rows = torch.arange(b, device=self.device)
        uniform = torch.rand(
            b, self.n_agents, generator=self.rng, device=self.device, dtype=torch.float64
        )
        local = []
        for u, k in zip(uniform.split(1, 1), self.game.states, strict=True):
            joint = probability.reshape(b, k, -1)  # given the agents before this one
            cdf = joint.sum(-1).cumsum(-1)
            pick = (u * cdf[:, -1:] >= cdf).sum(-1).clamp_max(k - 1)
            probability = joint[rows, pick]
            local.append(pick)
        return torch.stack(local, -1)

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        state = torch.nn.functional.one_hot(world["local"], self.state_dim).float()
        seen = state.unsqueeze(1) * self._sees.unsqueeze(-1)  # [B, N, N, D]
        return state, seen.flatten(2)

    def reward(self, world: World) -> Tensor:
        return world["reward"]
