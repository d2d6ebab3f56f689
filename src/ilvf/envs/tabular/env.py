"""A tabular game as an environment: everything about it can be computed exactly, and compared with what is learned.

**Games**: `chain`, `star`, `pairs`, `switch`, `common_cause`, `xor`, `hidden_pairs`, `random` (`tabular_games`), or any
single `TabularGame` whose agents have equally many actions.

**State** s_i: the local state, one-hot, padded to the agent with most of them.

**Observation**: the one-hot states of all agents side by side; those that agent i does not see are zero and masked.

**Reward**: r_i(s, a) of the state that was left.  **Start**: uniform in the ready-made games.  **End**: truncated after
`horizon` steps. The discount of the game counts for its exact values only.

**Noise**: one uniform per environment and agent at every reset and step, whatever the actions. The agents' next states
are drawn in order, each given those before it, by inverting its distribution at its own number; where agents move
independently, one agent's next state depends on nobody else's action or noise.

Run `python -m ilvf.envs.tabular [GAME]` to see one.
"""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.tabular.games import make_game
from ilvf.envs.tabular.theory import TabularGame, place_values
from ilvf.errors import require
from ilvf.modules.actors.categorical import choose, told_greedy


class Tabular(BatchedEnv):
    """`num_envs` copies of one tabular game; see the module's docstring.

    Args:
        game: a name that `make_game` knows, or a `TabularGame` of one game (then `n_agents` and `game_seed` are idle).
        n_agents: N of a named game.
        num_envs: B, environments stepped together.
        horizon: steps until truncation.
        game_seed: of the game's policy, and of the tables of random games.
        seed: of the private generator; None draws one from torch's global generator.
        device: where all tensors live.
    """

    def __init__(
        self,
        game: str | TabularGame = "chain",
        *,
        n_agents: int = 3,
        num_envs: int = 1,
        horizon: int = 20,
        game_seed: int = 0,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        if not isinstance(game, TabularGame):
            game = make_game(game, n_agents=n_agents, seed=game_seed)
        require(
            len(game) == 1,
            f"{len(game)} games are too many for one environment; pick one, such as game[0]",
        )
        require(
            len(set(game.actions)) == 1,
            f"actions={game.actions}: agents with different numbers of actions are not supported; make them all equal",
        )
        self.game, self.n_agents, self.n_actions = game, game.n_agents, game.actions[0]
        self.state_dim = max(game.states)
        self.observation_dim = self.n_agents * self.state_dim
        self._constants(torch.device(device))
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    def _constants(self, device: torch.device) -> None:
        game = self.game
        self._transition, self._reward, self._start = (
            x[0].detach().to(device) for x in (game.transition, game.reward, game.start)
        )
        self._state_place, self._action_place = (
            place_values(k).to(device) for k in (game.states, game.actions)
        )
        self._sees = game.observation_graph[0].to(device)
        exists = torch.arange(self.state_dim) < torch.tensor(game.states).unsqueeze(1)  # [N, D]
        self._observation_mask = (self._sees.unsqueeze(-1) & exists.to(device)).flatten(1)

    # ------------------------------------------------------------------ who couples to whom
    @property
    def observation_graph(self) -> Tensor:
        return self._sees

    @property
    def transition_graph(self) -> Tensor:
        """s_j or a_j enters P(s'_i | s, a); where agents do not move independently, P(s' | s, a), for all of them."""
        table = self.game.transition[0].unflatten(-1, self.game.states)
        others = [[2 + k for k in range(self.n_agents) if k != i] for i in range(self.n_agents)]
        marginals = [table.sum(o, keepdim=True) if o else table for o in others]
        independent = torch.allclose(
            torch.stack([m.expand_as(table) for m in marginals]).prod(0), table, atol=1e-12
        )
        joint = [self.game.transition[0]] * self.n_agents
        return self._graph([m.flatten(2) for m in marginals] if independent else joint)

    @property
    def reward_graph(self) -> Tensor:
        """s_j or a_j enters r_i(s, a)."""
        return self._graph([r.unsqueeze(-1) for r in self.game.reward[0].unbind(-1)])

    def _graph(self, tables: list[Tensor]) -> Tensor:
        """Row i: whether s_j or a_j changes anything in agent i's table `[S, A, K]`. bool `[N, N]`, diagonal True."""
        rows = []
        for table in tables:
            x = table.unflatten(1, self.game.actions).unflatten(
                0, self.game.states
            )  # [S_1, .., S_N, A_1, .., A_N, K]
            moves = torch.stack(
                [(x.amax(v) - x.amin(v)).max() > 1e-12 for v in range(2 * self.n_agents)]
            )
            rows.append(moves.view(2, -1).any(0))
        return (torch.stack(rows) | torch.eye(self.n_agents, dtype=torch.bool)).to(self.device)

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    def true_influence(self) -> Tensor:
        """N_i^+ of the game's own policy at every joint state, bool `[S, N, N]`, row = acting agent."""
        return self.game.influence()[0].to(self.device)

    def joint_state(self, world: World) -> Tensor:
        """Index of the joint state, `[B]`."""
        return (world["local"] * self._state_place).sum(-1)

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        b, n = self.batch_size[0], self.n_agents
        return {
            "local": self._draw(self._start.expand(b, -1)),
            "reward": torch.zeros(b, n, device=self.device),
        }

    def advance(self, world: World, action: Tensor) -> World:
        s, a = self.joint_state(world), (action * self._action_place).sum(-1)
        return {
            **world,
            "local": self._draw(self._transition[s, a]),
            "reward": self._reward[s, a].float(),
        }

    def _draw(self, probability: Tensor) -> Tensor:
        """Local states `[B, N]` from a joint distribution `[B, S]`, agent by agent, each by its own uniform number."""
        b, rows = len(probability), torch.arange(len(probability), device=self.device)
        u = torch.rand(
            b, self.n_agents, generator=self.rng, device=self.device, dtype=torch.float64
        )
        local = []
        for i, k in enumerate(self.game.states):
            left = probability.reshape(b, k, -1)  # given the agents before i
            cdf = left.sum(-1).cumsum(-1)
            pick = (u[:, i : i + 1] * cdf[:, -1:] >= cdf).sum(-1).clamp_max(k - 1)
            probability = left[rows, pick]
            local.append(pick)
        return torch.stack(local, -1)

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        state = torch.nn.functional.one_hot(world["local"], self.state_dim).float()
        return state, (state.unsqueeze(1) * self._sees.unsqueeze(-1)).flatten(2)

    def reward(self, world: World) -> Tensor:
        return world["reward"]


class TabularActor(TensorDictModuleBase):
    """The softmax policy of a single `TabularGame`, acting in `Tabular`.

    Reads `(group, "observation")` `[*B, N, N·D]`; writes `(group, "action")` and `(group, "action_log_prob")`, both
    `[*B, N]`. Samples by default, takes the most likely action under `ExplorationType.DETERMINISTIC` or `MODE`.
    """

    def __init__(self, game: TabularGame, *, group: str = "agents"):
        super().__init__()
        require(
            len(game) == 1,
            f"{len(game)} games are too many for one actor; pick one, such as game[0]",
        )
        self.in_keys = [(group, "observation")]
        self.out_keys = [(group, "action"), (group, "action_log_prob")]
        index = torch.arange(
            max(game.states)
        )  # an unseen state is all zero and counts as 0, as in `TabularGame.look`
        places = (place_values(game.states).unsqueeze(1) * index).flatten()
        self.table: Tensor
        self.places: Tensor
        self.register_buffer("table", game.log_policy()[0].detach().float())  # [N, S, A]
        self.register_buffer("places", places.float())

    def log_probs(self, observation: Tensor) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`."""
        seen = (observation @ self.places).round().long()  # [*B, N]
        return self.table[torch.arange(len(self.table), device=seen.device), seen]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        logp = self.log_probs(tensordict.get(self.in_keys[0]))
        return choose(tensordict, logp, self.out_keys, greedy=told_greedy())


def describe(game: TabularGame) -> str:
    """Values and influence sets of the first of the games, one line per joint state."""
    values, influence = game.values()[0], game.influence()[0]
    lines = [
        "  s".ljust(4 + 2 * game.n_agents)
        + "V_i(s)".ljust(9 * game.n_agents)
        + "  who moves whose return"
    ]
    for s, v, w in zip(game.local_states.tolist(), values.tolist(), influence, strict=True):
        sets = ", ".join(
            f"{i}→{''.join(str(j) for j in row.nonzero().flatten().tolist())}"
            for i, row in enumerate(w)
        )
        lines.append(
            "  "
            + " ".join(map(str, s)).ljust(2 + 2 * game.n_agents)
            + "".join(f"{x:9.3f}" for x in v)
            + "  "
            + sets
        )
    return "\n".join(lines)
