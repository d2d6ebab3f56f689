"""The environment Predator Capture Prey; `ilvf.envs.capture_prey` describes the task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule, TensorDictModuleBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv, World
from ilvf.envs.capture_prey.graphs import communication_graph
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
from ilvf.envs.capture_prey.observations import CORE, make_observations
from ilvf.envs.capture_prey.rewards import reward_table
from ilvf.envs.names import counted_from_1
from ilvf.envs.options import CapturePreyOptions
from ilvf.envs.pictures import first_episode
from ilvf.errors import require
from ilvf.modules.images import Image
from ilvf.options import configure
from ilvf.options.arguments import require_device


class CapturePrey(BatchedEnv):
    """`num_envs` copies of Predator Capture Prey; `ilvf.envs.capture_prey` describes the task.

    Args:
        n_perception: P, agents that see and cannot capture.
        n_action: A, agents that capture and see nothing, or little.
        dim: D, side of the grid [cells].
        num_envs: B, environments stepped together.
        seed: of the environment's generator; None draws one from torch's generator.
        device: device of all tensors.
        **options: the other fields of `CapturePreyOptions`.

    Attributes:
        is_action: bool `[N]`, True for action agents.
        communication_graph: bool `[N, N]`, row = receiver.

    Raises:
        UsageError: an option is unknown, out of bounds, or does not agree with another.
    """

    n_actions = len(MOVES)
    state_dim = CORE + 2
    masked = True
    statistic_names = ("success", "reached", "captured")

    def __init__(
        self,
        n_perception: int = CapturePreyOptions.n_perception,
        n_action: int = CapturePreyOptions.n_action,
        dim: int = CapturePreyOptions.dim,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        values = {"n_perception": n_perception, "n_action": n_action, "dim": dim, **options}
        self.options = configure(CapturePreyOptions, values, "CapturePrey")
        _require_agreement(self.options)
        self.n_agents = n_perception + n_action
        device = require_device("CapturePrey", device)
        self._make_roles(device)
        self._make_rewards(device)
        graph = communication_graph(self.options.graph, n_perception, n_action)
        self.communication_graph = graph.to(device)
        self._observations = make_observations(self.options, self.communication_graph)
        self.observation_dim = self._observations.mask.shape[-1]
        horizon = self.options.horizon
        super().__init__(num_envs=num_envs, horizon=horizon, seed=seed, device=device)

    # ------------------------------------------------------------------ constants
    def _make_roles(self, device: torch.device) -> None:
        index = torch.arange(self.n_agents, device=device)
        self.is_action = index >= self.options.n_perception
        no_capture = torch.arange(self.n_actions, device=device) != CAPTURE
        self._possible = no_capture | self.is_action.unsqueeze(1)  # [N, A]
        self._moves = MOVES.to(device)
        self._legal_moves = [x.to(device) for x in legal_moves(self.options.dim)]

    def _make_rewards(self, device: torch.device) -> None:
        table = reward_table(
            self.options.mode, self.n_agents, second_scheme=self.options.second_reward_scheme
        )
        self._rewards = torch.tensor(table, device=device)  # [2, N + 1]

    @property
    def agent_names(self) -> tuple[str, ...]:
        """P1, P2, ... of perception agents, A1, A2, ... of action agents."""
        seeing = [f"P{name}" for name in counted_from_1(self.options.n_perception)]
        return (*seeing, *(f"A{name}" for name in counted_from_1(self.options.n_action)))

    @property
    def observation_image(self) -> Image | None:
        """The agent's own window, in its observation."""
        return self._observations.image

    # ------------------------------------------------------------------ graphs
    @property
    def observation_graph(self) -> Tensor:
        """All for agents that see, or receive from one that does; they can see any agent."""
        sees = ~self.is_action | (self.options.action_vision >= 0)
        direct = self._diagonal() | sees.unsqueeze(1)
        return (self.communication_graph.float() @ direct.float()) > 0

    @property
    def transition_graph(self) -> Tensor:
        """The diagonal; all with moving prey, because the prey in s_i stops for any agent."""
        fixed = self.options.prey_policy == "fixed"
        return self._diagonal() if fixed else torch.ones_like(self._diagonal())

    @property
    def reward_graph(self) -> Tensor:
        """The diagonal in `mixed`; else all, because the agents on a prey are counted."""
        mixed = self.options.mode == "mixed"
        return self._diagonal() if mixed else torch.ones_like(self._diagonal())

    def _diagonal(self) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool, device=self.device)

    @property
    def observation_mask(self) -> Tensor:
        return self._observations.mask

    # ------------------------------------------------------------------ the world
    def initial(self) -> World:
        b = self.batch_size[0]
        n = self.n_agents
        dim = self.options.dim
        order = torch.rand(b, dim**2, generator=self.rng, device=self.device)
        index = order.topk(n + self.options.n_prey).indices  # different cells
        cell = torch.stack([index // dim, index % dim], -1)  # row, column
        no_agent = torch.zeros(b, n, dtype=torch.bool, device=self.device)
        return {
            "position": cell[:, :n],
            "prey": cell[:, n:],
            "reached": no_agent,
            "captured": no_agent,
        }

    def advance(self, world: World, action: Tensor) -> World:
        position = world["position"]
        prey = self._advance_prey(world)
        captures = (action == CAPTURE) & self.is_action & on_prey(position, prey)
        move = self._moves.index_select(0, action.flatten()).view(*action.shape, 2)
        moved = walk(position, move, self.options.dim)
        position = torch.where(world["reached"].unsqueeze(-1), position, moved)
        return {
            **world,
            "position": position,
            "prey": prey,
            "reached": world["reached"] | on_prey(position, prey),
            "captured": world["captured"] | captures,
        }

    def _advance_prey(self, world: World) -> Tensor:
        """Positions of the prey after their step. As many numbers are drawn for any actions."""
        prey = world["prey"]
        if self.options.prey_policy == "fixed":
            return prey
        chance = torch.rand(prey.shape[:2], generator=self.rng, device=self.device)
        return wander(prey, world["position"], chance, *self._legal_moves)

    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        position = world["position"]
        prey = world["prey"]
        role = self.is_action.expand_as(world["reached"])
        flags = torch.stack([role, world["reached"], world["captured"]], -1)
        to_prey = nearest(position, prey) - position
        places = torch.cat([position, to_prey], -1) / (self.options.dim - 1)
        state = torch.cat([places[..., :2], flags, places[..., 2:]], -1)
        return state, self._observations(state[..., :CORE], position, prey)

    def reward(self, world: World) -> Tensor:
        position = world["position"]
        on_own_cell = same_cell(position, position).sum(-1)  # [B, N], with the agent itself
        not_captured = self.is_action & ~world["captured"]
        count = on_own_cell * on_prey(position, world["prey"])
        return self._rewards[not_captured.long(), count]

    def ended(self, world: World) -> Tensor | None:
        return self._success(world) if self.options.mode == "mixed" else None

    def _success(self, world: World) -> Tensor:
        """bool `[B]`: all have reached a prey, and all action agents have captured."""
        return (world["reached"] & (world["captured"] | ~self.is_action)).all(-1)

    def action_mask(self, world: World) -> Tensor:
        return self._possible.expand(len(world["prey"]), -1, -1)

    def statistics(self, world: World) -> dict[str, Tensor]:
        captured = world["captured"].float().sum(-1)
        return {
            "success": self._success(world).float(),
            "reached": world["reached"].float().mean(-1),
            "captured": captured / max(self.options.n_action, 1),
        }

    def landscape(self, world: World) -> dict[str, Tensor]:
        return {"prey": world["prey"].float()}

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        """`seek` knows where the prey is."""
        keys = [("agents", "state")], [("agents", "action")]
        return {"seek": lambda: TensorDictModule(seek, *keys)}

    # ------------------------------------------------------------------ pictures
    def draw(self, rollout: TensorDictBase | None = None, index: int = 0) -> Any:
        """A matplotlib figure of one environment.

        Args:
            rollout: `[B, T]`, whose first episode is drawn; None draws the present world.
            index: number of the environment.
        """
        from ilvf.envs.capture_prey.draw import draw

        return draw(*self._episode(rollout, index), self.options.dim)

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write the first episode of environment `index` of a rollout `[B, T]` as a GIF."""
        from ilvf.envs.capture_prey.draw import animate

        animate(*self._episode(rollout, index), self.options.dim, path)

    def _episode(self, rollout: TensorDictBase | None, index: int) -> tuple[Tensor, Tensor]:
        """(states `[T+1, N, 7]`, cells of the prey `[T+1, K, 2]`)."""
        frames = (self.snapshot().unsqueeze(-1) if rollout is None else rollout)[index]  # [T]
        state = first_episode(frames, ("agents", "state"))
        return state.cpu(), first_episode(frames, "prey").cpu()


def _require_agreement(options: CapturePreyOptions) -> None:
    """Raise unless the options agree with each other."""
    n_agents = options.n_perception + options.n_action
    require(n_agents > 0, "n_perception=0 and n_action=0 leave no agents; give at least one")
    cells = options.dim**2
    need = n_agents + options.n_prey
    require(
        need <= cells,
        f"dim={options.dim} has {cells} cells, agents and prey need {need}; take a larger dim",
    )
    require(
        options.action_vision <= options.vision,
        f"action_vision={options.action_vision} must not be above vision={options.vision}",
    )
    require(
        not options.leak or options.action_vision < 0,
        f"leak=True needs blind agents, action_vision=-1, not {options.action_vision}",
    )
