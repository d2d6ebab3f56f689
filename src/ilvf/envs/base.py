"""What every batched scenario shares: specs, resets, the clock, episode statistics, saving and restoring."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from ilvf.envs.graphs import influence_graph, value_graph
from ilvf.errors import UsageError, require

World = dict[str, Tensor]  # all that a scenario remembers; every tensor is [B, ...]


class BatchedEnv(EnvBase):
    """`num_envs` copies of one cooperative scenario, stepped together as tensors.

    A scenario is five functions on its world: `initial` draws one, `advance` moves it, `observe`, `reward` and
    `statistics` look at it. This class turns them into a TorchRL environment with the library's keys:

    | key | shape | |
    |---|---|---|
    | `("agents", "observation")` | `[B, N, Do]` | what each policy sees; `observation_mask` beside it marks padding |
    | `("agents", "state")` | `[B, N, D]` | each agent's own state, what critics see |
    | `("agents", "action")` | `[B, N]` int64 | |
    | `("agents", "action_mask")` | `[B, N, A]` bool | only of scenarios with `masked = True`: what is possible now |
    | `("next", "agents", "reward")` | `[B, N, 1]` | r_i; the team's reward is the sum over agents |
    | `terminated`, `truncated`, `done` | `[B, 1]` | `ended` terminates, the clock truncates at `horizon` steps |
    | `("episode", ...)` | `[B, 1]` | `return` (team, so far), `length`, and the scenario's own statistics |

    `observation_graph`, `transition_graph`, `reward_graph`: bool `[N, N]`, G[i, j] = "j enters i's observation / next
    state / reward", diagonal True; `value_graph` and `influence_graph` follow from them.
    """

    n_agents: int
    n_actions: int
    observation_dim: int
    state_dim: int
    masked: bool = False
    statistic_names: tuple[str, ...] = ()
    batch_locked = True

    def __init__(
        self, *, num_envs: int, horizon: int, seed: int | None, device: torch.device | str
    ):
        require(num_envs >= 1, f"num_envs={num_envs} must be at least 1")
        require(horizon >= 1, f"horizon={horizon} must be at least 1 step")
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self.horizon = horizon
        self.rng = torch.Generator(device=self.device)
        self.world: World = {}
        self._restored: World | None = None
        self._declare_specs()
        self.set_seed(seed if seed is not None else int(torch.randint(2**31, ())))

    # ------------------------------------------------------------------ the scenario
    @property
    @abstractmethod
    def observation_graph(self) -> Tensor: ...

    @property
    @abstractmethod
    def transition_graph(self) -> Tensor: ...

    @property
    @abstractmethod
    def reward_graph(self) -> Tensor: ...

    @property
    def value_graph(self) -> Tensor:
        """Whose states V_i can depend on (row = value function)."""
        return value_graph(self.observation_graph, self.transition_graph, self.reward_graph)

    @property
    def influence_graph(self) -> Tensor:
        """Whose returns an agent's action can move (row = acting agent)."""
        return influence_graph(self.observation_graph, self.transition_graph, self.reward_graph)

    @property
    @abstractmethod
    def observation_mask(self) -> Tensor:
        """bool `[N, Do]`: False where the observation is padding."""

    @abstractmethod
    def initial(self) -> World:
        """A fresh world for every one of the B environments, drawn from `self.rng`."""

    @abstractmethod
    def advance(self, world: World, action: Tensor) -> World:
        """The world one step later; `action` is `[B, N]`."""

    @abstractmethod
    def observe(self, world: World) -> tuple[Tensor, Tensor]:
        """(state `[B, N, D]`, observation `[B, N, Do]`)."""

    @abstractmethod
    def reward(self, world: World) -> Tensor:
        """r_i on the new world, `[B, N]`."""

    def ended(self, world: World) -> Tensor | None:
        """bool `[B]`: the task is over in the new world (terminated); None where it never ends by itself."""
        return None

    def action_mask(self, world: World) -> Tensor:
        """bool `[B, N, A]`: the actions that are possible; asked for only of scenarios with `masked = True`."""
        raise NotImplementedError

    def statistics(self, world: World) -> dict[str, Tensor]:
        """`statistic_names` → `[B]`, evaluated on the new world."""
        return {}

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        """Rule-based controllers by name; each call builds a policy that writes `("agents", "action")`."""
        return {}

    def landscape(self, world: World) -> dict[str, Tensor]:
        """Parts of the world that no agent's state holds but a picture needs; written at the root."""
        return {}

    # ------------------------------------------------------------------ TorchRL
    def _declare_specs(self) -> None:
        b, n, dev = self.batch_size[0], self.n_agents, self.device
        agents = Composite(
            observation=Unbounded((b, n, self.observation_dim), device=dev),
            observation_mask=Binary(
                self.observation_dim, (b, n, self.observation_dim), device=dev, dtype=torch.bool
            ),
            state=Unbounded((b, n, self.state_dim), device=dev),
            shape=(b, n),
            device=dev,
        )
        if self.masked:
            a = self.n_actions
            agents["action_mask"] = Binary(a, (b, n, a), device=dev, dtype=torch.bool)
        names = ("return", "length", *self.statistic_names)
        episode = Composite(
            {k: Unbounded((b, 1), device=dev) for k in names}, shape=(b,), device=dev
        )
        land = {
            k: Unbounded(v.shape, device=dev) for k, v in self.landscape(self.initial()).items()
        }
        self.observation_spec = Composite(
            agents=agents, episode=episode, **land, shape=(b,), device=dev
        )
        action = Categorical(self.n_actions, (b, n), device=dev, dtype=torch.int64)
        self.action_spec = Composite(
            agents=Composite(action=action, shape=(b, n)), shape=(b,), device=dev
        )
        reward = Unbounded((b, n, 1), device=dev)
        self.reward_spec = Composite(
            agents=Composite(reward=reward, shape=(b, n)), shape=(b,), device=dev
        )
        flag = {
            k: Binary(1, (b, 1), device=dev, dtype=torch.bool)
            for k in ("done", "terminated", "truncated")
        }
        self.done_spec = Composite(flag, shape=(b,), device=dev)

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is None and self._restored is not None:
            self.world, self._restored = self._restored, None
        else:
            fresh = self.initial() | self._no_history()
            if mask is not None:
                mask = mask.reshape(-1)
                fresh = {k: torch.where(_like(mask, v), v, self.world[k]) for k, v in fresh.items()}
            self.world = fresh
        out = self._look()
        false = torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device)
        out.update({"done": false, "terminated": false.clone(), "truncated": false.clone()})
        return out

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action"))
        self._require_actions(action)
        history = {k: self.world[k] for k in ("step", "return")}
        self.world = self.advance(self.world, action)
        reward = self.reward(self.world)
        self.world["step"] = history["step"] + 1
        self.world["return"] = history["return"] + reward.sum(-1)
        out = self._look()
        out.set(("agents", "reward"), reward.unsqueeze(-1))
        return out.update(self._flags())

    def _require_actions(self, action: Tensor) -> None:
        need = (*self.batch_size, self.n_agents)
        if action.shape != need:
            raise UsageError(
                f"('agents', 'action') has the shape {tuple(action.shape)}, need {need}"
            )
        if (
            action.device.type == "cpu"
        ):  # elsewhere it would wait for the device, whose own index check has to do
            low, high = (int(x) for x in action.aminmax())
            if low < 0 or high >= self.n_actions:
                wrong = low if low < 0 else high
                raise UsageError(
                    f"action {wrong} is out of range; {type(self).__name__} has 0 to {self.n_actions - 1}"
                )

    def _flags(self) -> dict[str, Tensor]:
        """An episode that ends by itself in its last step is terminated, not truncated."""
        late, ended = self.world["step"] >= self.horizon, self.ended(self.world)
        terminated = torch.zeros_like(late) if ended is None else ended
        flags = {
            "terminated": terminated,
            "truncated": late & ~terminated,
            "done": late | terminated,
        }
        return {k: v.unsqueeze(-1) for k, v in flags.items()}

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self.rng.manual_seed(seed)

    def _no_history(self) -> World:
        zero = torch.zeros(self.batch_size, device=self.device)
        return {"step": zero.long(), "return": zero}

    def _look(self) -> TensorDict:
        state, observation = self.observe(self.world)
        episode = {
            "return": self.world["return"],
            "length": self.world["step"].float(),
            **self.statistics(self.world),
        }
        b, dev = self.batch_size, self.device
        agents = {
            "observation": observation,
            "observation_mask": self.observation_mask.expand_as(observation),
            "state": state,
        }
        if self.masked:
            agents["action_mask"] = self.action_mask(self.world)
        return TensorDict(
            {
                "agents": TensorDict(agents, [*b, self.n_agents], device=dev),
                "episode": TensorDict(
                    {k: v.unsqueeze(-1) for k, v in episode.items()}, b, device=dev
                ),
                **self.landscape(self.world),
            },
            b,
            device=dev,
        )

    # ------------------------------------------------------------------ save and restore
    def get_state(self) -> dict[str, Tensor]:
        """Everything that a bit-exact continuation needs: the world and the generator, as plain tensors."""
        return {**{k: v.clone() for k, v in self.world.items()}, "rng": self.rng.get_state()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `get_state()`'s answer; the next full reset returns this world instead of a fresh one.

        `step` and `return` may be left out: the episode then begins here.
        """
        world = self._no_history() | {k: v.to(self.device) for k, v in state.items() if k != "rng"}
        found = {k: tuple(v.shape[:1]) for k, v in world.items()}
        need = tuple(self.batch_size)
        require(
            all(shape == need for shape in found.values()),
            f"the saved state is of {sorted(set(found.values()) - {need})} environments, this one has {need}",
        )
        self.rng.set_state(state["rng"].cpu())
        self._restored = world


def _like(mask: Tensor, value: Tensor) -> Tensor:
    return mask.view(-1, *[1] * (value.ndim - 1))
