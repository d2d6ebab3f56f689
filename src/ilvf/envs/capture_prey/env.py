"""Predator Capture Prey (PCP): some agents see, others capture (paper, Sec. 5.1 and App. B.1; HetNet's grid world).

P perception agents and A action agents (4 + 4, in this order) walk on a D×D grid (10×10) toward a prey. Perception
agents see the cells around them and cannot capture; action agents capture and are blind: they find the prey by what
perception agents tell them. Agents do not block each other, and stop for good at the first prey they reach.

**Actions** (6): 0 up (row − 1), 1 right (column + 1), 2 down, 3 left, 4 stay, 5 capture. Walls hold agents back.
Action 5 works for action agents on the cell of a prey; perception agents have it masked, and it does nothing.

**State** s_i (7 numbers): row and column / (D − 1) (0 to 1); role (0 perception, 1 action); has reached a prey (0, 1);
has captured (0, 1); row and column of the nearest prey − own, / (D − 1) (−1 to 1; in steps, the first of equals).

**Observation**: of W = (2v+1)² cells, v = `vision`; 5 + 4W numbers of its own, and as many from every agent it hears.

| numbers | what | range |
|---|---|---|
| 0 to 4 | the first five of the state | 0 to 1 |
| 5 + 0 to W − 1 | prey in each of the cells around, row by row, itself in the middle | 0, 1, ... |
| 5 + W to 2W − 1 | perception agents there | 0, 1, ... |
| 5 + 2W to 3W − 1 | action agents there | 0, 1, ... |
| 5 + 3W to 4W − 1 | whether the cell is outside of the grid | 0, 1 |
| 5 + 4W on | the same 5 + 4W numbers of each agent that it hears, in order of their indices | |

What an agent is blind to, and the places of senders that it does not have, are 0 and masked in `observation_mask`.
With `encoding="reference"` its own 5 + 4W numbers are the reference's window instead: cell by cell a one-hot index
(D²), action agents, outside, prey, perception agents; what it is blind to is −1 and not masked. Others are heard as
above.

**Who hears whom** (`graph`): `paired` (default): perception agents hear their two neighbours around a ring, action
agent k hears perception agents k and k + 1; `bipartite_pairs`: action agent k hears perception agent k; `full`; `none`;
or any `[N, N]` matrix of booleans, row = receiver (`capture_prey_graphs.py`).

**Reward**, on the state after the move: −0.05 away from the prey. On it 0 (`mode="mixed"`), +0.05 × the number of
agents on the same cell (`cooperative`) or +0.05 / that number (`competitive`); but an action agent that has not
captured gets −0.05 there too (−0.025 with `second_reward_scheme`).

**Start**: agents and prey on different cells, uniformly. **End**: in `mixed` terminated when all agents have reached a
prey and all action agents have captured; otherwise truncated after `horizon` steps. (That joint end couples nobody's
returns: from then on all rewards would be 0.)

**Several prey** (`n_prey`): any prey will do, for reaching and for capturing; like the single one it can be captured by
any number of agents. **Moving prey** (`prey_policy="random"`): at every step, before the agents, each prey without an
agent on it makes one of the moves 0 to 4 that stay on the grid, all equally likely.

**Statistics**: `success` (0 or 1: all have reached, all action agents captured; in every mode, in the reference only in
`mixed`), `reached` share of agents, `captured` share of action agents.

**Graphs**: what is true of this code. An agent that sees, or hears one that sees, may observe anybody who walks by: the
observation graph is full, but for the rows of action agents who hear nobody, or only each other. (The paper's
"observation topology" is who hears whom: `communication_graph`.) Next states are everybody's own, but moving prey stop
for anybody: then all couple. (The paper calls this coupling fully connected.) Rewards are everybody's own in `mixed`,
and depend on all in the other modes.

**Differences from the reference**, HetNet's `predator_capture`, whose moves, rewards and windows this reproduces.
There, blinding an action agent also erases (−1) the cells around it from the windows of perception agents, nearly
always the prey with them; `leak=True` does the same, for comparison with published numbers. Several prey, of which it
cannot capture any, and moving prey, which it does not have, are of this library. **Choices where the paper is
silent**: 10×10 cells, vision 2, 80 steps, one prey, `mixed`, the compact observation, the graph `paired`.

**Rule** `seek` knows where the prey is, and always succeeds if it does not move: the ceiling
(`python recipes/evaluate.py policy=seek env=capture_prey`).

Run `python -m ilvf.envs.capture_prey` to see it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.capture_prey.graphs import communication_graph, senders
from ilvf.envs.capture_prey.grid import (
    CAPTURE,
    MOVES,
    legal_moves,
    nearest,
    on_prey,
    same_cell,
    seek,
    walk,
    wander,
)
from ilvf.envs.capture_prey.windows import Sight, Windows
from ilvf.errors import require, require_choice

STEP_REWARD = -0.05  # away from the prey, or on it without having captured
PREY_REWARD = 0.05  # on the prey, times or over the number of agents there
SECOND_REWARD = -0.025  # on the prey without having captured, in the second scheme
CORE = 5  # numbers of the observation before the window


class CapturePrey(BatchedEnv):
    """`num_envs` copies of Predator Capture Prey; see the module's docstring for everything that is not an argument.

    Args:
        n_perception, n_action: P and A.
        dim, vision: D, the side of the grid, and v, how far perception agents see in every direction, in cells.
        mode: mixed, cooperative or competitive.
        graph: who hears whom: paired, bipartite_pairs, full, none, or a matrix `[N, N]`, row = receiver.
        n_prey: K.
        prey_policy: fixed, or random for prey that move.
        encoding: of what agents see: compact or reference.
        action_vision: how far action agents see; -1 for blind.
        leak: blind as the reference does, at the cost of perception agents.
        second_reward_scheme: −0.025 instead of −0.05 for action agents on the prey that have not captured.
        horizon: steps until truncation.
        num_envs: B, environments stepped together.
        seed: of the private generator; None draws one from torch's global generator.
        device: where all tensors live.
    """

    n_actions = len(MOVES)
    state_dim = CORE + 2
    masked = True
    statistic_names = ("success", "reached", "captured")

    def __init__(
        self,
        n_perception: int = 4,
        n_action: int = 4,
        dim: int = 10,
        vision: int = 2,
        mode: str = "mixed",
        graph: str | Tensor | Sequence[Sequence[bool]] = "paired",
        n_prey: int = 1,
        prey_policy: str = "fixed",
        encoding: str = "compact",
        action_vision: int = -1,
        leak: bool = False,
        second_reward_scheme: bool = False,
        horizon: int = 80,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        sizes = {
            "n_perception": (n_perception, 0),
            "n_action": (n_action, 0),
            "dim": (dim, 2),
            "vision": (vision, 0),
        }
        sizes |= {"n_prey": (n_prey, 1), "action_vision": (action_vision, -1)}
        for name, (size, least) in sizes.items():
            fits = isinstance(size, int) and size >= least
            require(fits, f"{name}={size} must be a whole number of at least {least}")
        require(
            n_perception + n_action > 0,
            "n_perception=0 and n_action=0 leave no agents; give at least one",
        )
        need = n_perception + n_action + n_prey
        require(
            need <= dim**2,
            f"dim={dim} has {dim**2} cells, agents and prey need {need}; take a larger dim",
        )
        require(
            action_vision <= vision,
            f"action_vision={action_vision} must not be above vision={vision}",
        )
        require(
            not leak or action_vision < 0,
            f"leak=True needs blind agents, action_vision=-1, not {action_vision}",
        )
        require_choice("mode", mode, ("mixed", "cooperative", "competitive"))
        require_choice("prey_policy", prey_policy, ("fixed", "random"))
        require_choice("encoding", encoding, ("compact", "reference"))
        self.n_perception, self.n_action, self.n_prey, self.dim = (
            n_perception,
            n_action,
            n_prey,
            dim,
        )
        self.n_agents = n_perception + n_action
        self.mode, self.prey_policy, self.encoding = mode, prey_policy, encoding
        self.action_vision = action_vision
        device = torch.device(device)
        self._roles(device)
        self._rewards(second_reward_scheme, device)
        self._sights(vision, leak, device)
        self._hearing(communication_graph(graph, n_perception, n_action).to(device))
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    # ------------------------------------------------------------------ constants
    def _roles(self, device: torch.device) -> None:
        self.is_action = torch.arange(self.n_agents, device=device) >= self.n_perception
        self._can = (
            torch.arange(self.n_actions, device=device) != CAPTURE
        ) | self.is_action.unsqueeze(1)  # [N, A]
        self._moves = MOVES.to(device)
        self._legal = [x.to(device) for x in legal_moves(self.dim)]

    def _rewards(self, second_scheme: bool, device: torch.device) -> None:
        """Rewards by the number of agents on one's own prey, 0 to N; first row: of all who have done their part."""
        crowd, late = range(1, self.n_agents + 1), SECOND_REWARD if second_scheme else STEP_REWARD
        there = {
            "mixed": [0.0 for _ in crowd],
            "cooperative": [PREY_REWARD * k for k in crowd],
            "competitive": [PREY_REWARD / k for k in crowd],
        }
        rows = [STEP_REWARD, *there[self.mode]], [STEP_REWARD, *[late for _ in crowd]]
        self._pay = torch.tensor(rows, device=device)

    def _sights(self, vision: int, leak: bool, device: torch.device) -> None:
        def sight(encoding: str) -> Sight:
            windows, team = (
                Windows(self.dim, vision, encoding, device),
                (self.n_perception, self.n_action, self.n_prey),
            )
            return Sight(windows, *team, action_vision=self.action_vision, leak=leak)

        self._compact = sight("compact")
        self._reference = sight("reference") if self.encoding == "reference" else None

    def _hearing(self, graph: Tensor) -> None:
        """Whose parts an agent observes: its own, unless the reference's window replaces it, and its senders'."""
        self.communication_graph, index = (
            graph,
            torch.arange(self.n_agents, device=graph.device).unsqueeze(1),
        )
        self._parts = senders(graph) if self._reference else torch.cat([index, senders(graph)], 1)
        window = self._compact.visible
        visible = torch.cat([window.new_ones(self.n_agents, CORE), window], -1)
        mask = torch.cat([visible, torch.zeros_like(visible[:1])])[self._parts].flatten(
            1
        )  # last: of nobody
        if self._reference:
            mask = torch.cat([torch.ones_like(self._reference.visible), mask], -1)
        self._observation_mask, self.observation_dim = mask, mask.shape[-1]

    # ------------------------------------------------------------------ who couples to whom
    @property
    def observation_graph(self) -> Tensor:
        """Those who may walk through an agent's window, or through that of one whom it hears."""
        sees = ~self.is_action | (self.action_vision >= 0)
        own = torch.eye(self.n_agents, dtype=torch.bool, device=self.device) | sees.unsqueeze(1)
        return (self.communication_graph.float() @ own.float()) > 0

    @property
    def transition_graph(self) -> Tensor:
        """Own; with moving prey all, because the prey in s_i stops for anybody."""
        return self._own_or_all(self.prey_policy == "fixed")

    @property
    def reward_graph(self) -> Tensor:
        """Own in `mixed`; else all, who are counted when they are on the prey."""
        return self._own_or_all(self.mode == "mixed")

    def _own_or_all(self, own: bool) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool, device=self.device) | (not own)

    @property
    def observation_mask(self) -> Tensor:
        return self._observation_mask

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        b, n = self.batch_size[0], self.n_agents
        order = torch.rand(b, self.dim**2, generator=self.rng, device=self.device)
        index = order.topk(n + self.n_prey).indices
        cell = torch.stack([index // self.dim, index % self.dim], -1)  # row, column
        nobody = torch.zeros(b, n, dtype=torch.bool, device=self.device)
        return {"position": cell[:, :n], "prey": cell[:, n:], "reached": nobody, "captured": nobody}

    def advance(self, world: World, action: Tensor) -> World:
        low, high = (int(x) for x in action.aminmax())
        require(
            low >= 0 and high < self.n_actions,
            f"actions are from {low} to {high}, need 0 to {CAPTURE}",
        )
        position, prey = world["position"], world["prey"]
        if self.prey_policy == "random":
            chance = torch.rand(
                prey.shape[:2], generator=self.rng, device=self.device
            )  # whatever anybody does
            prey = wander(prey, position, chance, *self._legal)
        capturing = (action == CAPTURE) & self.is_action & on_prey(position, prey)
        moved = walk(position, self._moves[action], self.dim)
        position = torch.where(world["reached"].unsqueeze(-1), position, moved)
        reached, captured = (
            world["reached"] | on_prey(position, prey),
            world["captured"] | capturing,
        )
        return {
            **world,
            "position": position,
            "prey": prey,
            "reached": reached,
            "captured": captured,
        }

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        position, prey = world["position"], world["prey"]
        flags = torch.stack(
            [self.is_action.expand_as(world["reached"]), world["reached"], world["captured"]], -1
        )
        places = torch.cat([position, nearest(position, prey) - position], -1) / (self.dim - 1)
        state = torch.cat([places[..., :2], flags, places[..., 2:]], -1)
        b, n = state.shape[:2]
        parts = state.new_zeros(b, n + 1, CORE + self._compact.windows.size)  # the last is nobody's
        parts[:, :n, :CORE] = state[..., :CORE]
        parts[:, : self._compact.rows, CORE:] = self._compact(position, prey, 0.0)
        alone = self._parts.shape[-1] == 1 and not self._reference  # nobody hears anybody
        observation = parts[:, :n] if alone else parts[:, self._parts.flatten()].view(b, n, -1)
        if self._reference:
            observation = torch.cat([self._reference(position, prey, -1.0), observation], -1)
        return state, observation

    def reward(self, world: World) -> Tensor:
        position = world["position"]
        beside = same_cell(position).sum(-1)  # [B, N], itself too
        late = self.is_action & ~world["captured"]
        return self._pay[late.long(), beside * on_prey(position, world["prey"])]

    def ended(self, world: World) -> Tensor | None:
        return self._success(world) if self.mode == "mixed" else None

    def _success(self, world: World) -> Tensor:
        return (world["reached"] & (world["captured"] | ~self.is_action)).all(-1)

    def action_mask(self, world: World) -> Tensor:
        return self._can.expand(len(world["prey"]), -1, -1)

    def statistics(self, world: World) -> dict[str, Tensor]:
        reached, captured = world["reached"].float().mean(-1), world["captured"].float().sum(-1)
        return {
            "success": self._success(world).float(),
            "reached": reached,
            "captured": captured / max(self.n_action, 1),
        }

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"prey": world["prey"].float()}

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        """`seek` knows where the prey is: the ceiling."""
        return {
            "seek": lambda: TensorDictModule(seek, [("agents", "state")], [("agents", "action")])
        }

    # ------------------------------------------------------------------ pictures
    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of environment `index`: now, or the first episode of a rollout `[B, T]`."""
        from ilvf.envs.capture_prey.draw import draw

        return draw(*self._episode(rollout, index), self.dim)

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write the first episode of environment `index` of a rollout `[B, T]` as a GIF."""
        from ilvf.envs.capture_prey.draw import animate

        animate(*self._episode(rollout, index), self.dim, path)

    def _episode(self, rollout: TensorDictBase | None, index: int) -> tuple[Tensor, Tensor]:
        """States `[T+1, N, 7]` and cells of the prey `[T+1, K, 2]`."""
        if rollout is None:
            now = self._look()[index : index + 1]
            return now["agents", "state"].cpu(), now["prey"].cpu()
        done = rollout["next", "done"][index].flatten()
        frames = rollout[index][: int(done.int().argmax()) + 1 if done.any() else None].cpu()
        pairs = (
            (frames["agents", "state"], frames["next", "agents", "state"]),
            (frames["prey"], frames["next", "prey"]),
        )
        states, prey = (torch.cat([now, then[-1:]]) for now, then in pairs)
        return states, prey
