"""What a batched environment defines: its sizes, functions of its world, and its graphs."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.envs.graphs import influence_graph, value_graph
from ilvf.modules.actions import Actions, Choices

World = dict[str, Tensor]  # the full state of B environments; every tensor is [B, ...]


class Scenario(EnvBase):
    """Abstract base of `BatchedWorlds`: what every batched environment defines.

    Attributes:
        n_agents: N.
        n_actions: A, actions of every agent, or numbers of a continuous action.
        observation_dim: Do, numbers that an agent observes, with padding.
        state_dim: D, numbers of an agent's own state.
        masked: some actions are not always possible, see `action_mask`.
        statistic_names: keys of `statistics`.
        rng: generator of all random numbers.
        world: the present world.
    """

    n_agents: int
    n_actions: int
    observation_dim: int
    state_dim: int
    masked: bool = False
    statistic_names: tuple[str, ...] = ()
    rng: torch.Generator
    world: World

    @functools.cached_property
    def actions(self) -> Actions:
        """What the agents can do; an environment may return `MultiChoices` or a `Box`."""
        return Choices(self.n_actions)

    # ------------------------------------------------------------------ the world
    @property
    @abstractmethod
    def observation_mask(self) -> Tensor:
        """bool `[N, Do]`: False where the observation is padding."""

    @abstractmethod
    def initial(self) -> World:
        """Worlds at the start of an episode, for all B environments, drawn from `self.rng`."""

    @abstractmethod
    def advance(self, world: World, action: Tensor) -> World:
        """The worlds after one step with the actions `[B, N, *event]`."""

    @abstractmethod
    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        """(states `[B, N, D]`, observations `[B, N, Do]`)."""

    @abstractmethod
    def reward(self, world: World) -> Tensor:
        """r_i of the step that led to `world`, `[B, N]`."""

    def ended(self, world: World) -> Tensor | None:
        """bool `[B]`: the task has ended (terminated). None if it never ends before the horizon."""
        return None

    def action_mask(self, world: World) -> Tensor:
        """bool `[B, N, A]`: the possible actions. Called only if `masked` is True."""
        raise NotImplementedError

    def statistics(self, world: World) -> dict[str, Tensor]:
        """Statistics of the episode so far: each of `statistic_names` → `[B]`."""
        return {}

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        """Rule-based policies by name; each call builds one that writes `("agents", "action")`."""
        return {}

    def landscape(self, world: World) -> dict[str, Tensor]:
        """Parts of the world that pictures need and no state contains; stored at the root."""
        return {}


class KnownGraphs:
    """What an environment with known dependencies between its agents defines besides."""

    @property
    @abstractmethod
    def observation_graph(self) -> Tensor:
        """bool `[N, N]`: s_j enters the observation of agent i."""

    @property
    @abstractmethod
    def transition_graph(self) -> Tensor:
        """bool `[N, N]`: s_j or a_j enters the next state of agent i."""

    @property
    @abstractmethod
    def reward_graph(self) -> Tensor:
        """bool `[N, N]`: s_j or a_j enters r_i."""

    @property
    def value_graph(self) -> Tensor:
        """bool `[N, N]`: V_i can depend on s_j; see `ilvf.envs.graphs.value_graph`."""
        return value_graph(self.observation_graph, self.transition_graph, self.reward_graph)

    @property
    def influence_graph(self) -> Tensor:
        """bool `[N, N]`: a_i can change the return of agent j; row = acting agent."""
        return influence_graph(self.observation_graph, self.transition_graph, self.reward_graph)
