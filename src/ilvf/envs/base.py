"""Base class of the batched environments: specs, resets, the clock, statistics, saved states."""

from collections.abc import Mapping
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import Composite, Unbounded

from ilvf.envs.entries import PADDING, Entries, assembled
from ilvf.envs.scenario import KnownGraphs, Scenario, World
from ilvf.envs.specs import FLAGS, TeamSpecs
from ilvf.errors import UsageError, require
from ilvf.modules.actions import Box
from ilvf.options.arguments import require_batch, require_sizes

__all__ = ["BatchedEnv", "BatchedWorlds", "World"]

INDEX_TYPES = (torch.int64, torch.int32)  # of choices


class BatchedWorlds(Scenario):
    """`num_envs` copies of one cooperative environment, stepped together as tensors.

    A subclass defines what `Scenario` declares, above all five functions of its world: `initial`
    draws it, `advance` moves it by one step, `observe`, `reward` and `statistics` read it. This
    class turns them into a TorchRL environment with these keys (B environments, N agents):

    | key | shape | meaning |
    |---|---|---|
    | `("agents", "observation")` | `[B, N, Do]` | input of the policies, zero-padded |
    | `("agents", "observation_mask")` | `[B, N, Do]` bool | False where it is padding |
    | `("agents", "state")` | `[B, N, D]` | each agent's own state, input of the critics |
    | `("agents", "action")` | `[B, N]` int64 | `[B, N, D]` of several choices, or a Box's numbers |
    | `("agents", "action_mask")` | `[B, N, A]` bool | possible actions; only if `masked` |
    | `("next", "agents", "reward")` | `[B, N, 1]` | r_i; the team's reward is Σ_i r_i |
    | `terminated` | `[B, 1]` bool | the task has ended, see `ended` |
    | `truncated` | `[B, 1]` bool | `horizon` steps have passed and the task has not ended |
    | `done` | `[B, 1]` bool | terminated or truncated |
    | `("episode", "return")` | `[B, 1]` | return of the team so far |
    | `("episode", "length")` | `[B, 1]` | steps so far |
    | `("episode", NAME)` | `[B, 1]` | each of `statistic_names` |

    Args:
        num_envs: B, at least 1.
        horizon: steps until truncation, at least 1.
        seed: seed of the environment's own generator; None draws it from torch's generator.
        device: device of all tensors.

    Raises:
        UsageError: an argument of another type or out of bounds.
    """

    batch_locked = True

    def __init__(
        self, *, num_envs: int, horizon: int, seed: int | None, device: torch.device | str
    ):
        name = type(self).__name__
        require_batch(name, num_envs, seed, device)
        require_sizes(name, horizon=horizon)
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self.horizon = horizon
        self.rng = torch.Generator(device=self.device)
        self.world = {}
        self._restored: World | None = None
        self._declare_specs()
        self.set_seed(seed if seed is not None else int(torch.randint(2**31, ())))

    # ------------------------------------------------------------------ TorchRL
    def _declare_specs(self) -> None:
        specs = TeamSpecs(
            num_envs=self.batch_size[0],
            n_agents=self.n_agents,
            actions=self.actions,
            observation_dim=self.observation_dim,
            state_dim=self.state_dim,
            device=self.device,
        )
        first = self.initial()
        self._form = {name: x.shape[1:] for name, x in first.items()}
        landscape = self.landscape(first)
        self.observation_spec = Composite(
            agents=specs.agents(masked=self.masked),
            episode=specs.episode(("return", "length", *self.statistic_names)),
            **{name: Unbounded(x.shape, device=self.device) for name, x in landscape.items()},
            shape=self.batch_size,
            device=self.device,
        )
        self.action_spec = specs.action()
        self.reward_spec = specs.reward()
        self.done_spec = specs.done()

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        """Start new episodes: all, or only those of the mask `_reset`.

        The first full reset after `set_state` returns the restored world.
        """
        mask = None if tensordict is None else tensordict.get("_reset", None)
        if mask is not None:
            self.restart(mask)
        elif self._restored is not None:
            self.world = self._restored
            self._restored = None
        else:
            self.world = self._new_episodes()
        out = self.snapshot()
        for name in FLAGS:
            out[name] = torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device)
        return out

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        reward = self.move(tensordict.get(("agents", "action")))
        out = self.snapshot()
        out.set(("agents", "reward"), reward)
        return out.update(self.flags())

    def _require_actions(self, action: Tensor | None) -> None:
        actions = self.actions
        need = (*self.batch_size, self.n_agents, *actions.event)
        if action is None:
            raise UsageError(f"('agents', 'action') is missing, need {need}")
        kinds = (actions.low.dtype,) if isinstance(actions, Box) else INDEX_TYPES
        if action.dtype not in kinds:
            words = " or ".join(map(str, kinds))
            raise UsageError(f"('agents', 'action') is {action.dtype}, need {words}")
        found = tuple(action.shape)
        if found != need:
            raise UsageError(f"('agents', 'action') has the shape {found}, need {need}")
        if not on_host(action):
            return  # reading the values would wait for the device; its index check must do
        problem = actions.problem(action, type(self).__name__)
        if problem:
            raise UsageError(problem)

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self.rng.manual_seed(seed)
            self._restored = None

    def to(self, device: Any) -> Self:
        """The environment itself, which stays on its device.

        Raises:
            UsageError: another device.
        """
        wanted = torch.device(device)
        indices = {wanted.index, self.device.index} - {None}
        require(
            wanted.type == self.device.type and len(indices) <= 1,
            f"{type(self).__name__} cannot move from {self.device} to {wanted}; make it with "
            f"device={str(wanted)!r}",
        )
        return self

    def _new_episodes(self) -> World:
        return self.initial() | self._no_history()

    def _no_history(self) -> World:
        zero = torch.zeros(self.batch_size, device=self.device)
        return {"step": zero.long(), "return": zero}

    def snapshot(self) -> TensorDict:
        """The present world as a tensordict: observations, states, masks and statistics."""
        found = self.entries()
        padding = self.observation_mask.expand_as(found["agents", "observation"])
        return self.assembled({**found, **self.measured(), PADDING: padding})

    # ------------------------------------------------------------------ the parts of a step
    def move(self, action: Tensor) -> Tensor:
        """Move the world by one step, with the actions `[B, N, *event]`; the rewards `[B, N, 1]`.

        Raises:
            UsageError: the actions have another shape, or are none of this environment.
        """
        self._require_actions(action)
        step = self.world["step"]
        team_return = self.world["return"]
        self.world = self.advance(self.world, action)
        reward = self.reward(self.world)
        self.world["step"] = step + 1
        self.world["return"] = team_return + reward.sum(-1)
        return reward.unsqueeze(-1)

    def flags(self) -> dict[str, Tensor]:
        """done, terminated, truncated; an episode that ends in its last step is terminated."""
        late = self.world["step"] >= self.horizon
        ended = self.ended(self.world)
        terminated = torch.zeros_like(late) if ended is None else ended
        flags = (late | terminated, terminated, late & ~terminated)
        return {name: x.unsqueeze(-1) for name, x in zip(FLAGS, flags, strict=True)}

    def restart(self, mask: Tensor) -> None:
        """Start new episodes where `mask`, bool `[B, 1]`, is True."""
        world = {}
        for name, fresh in self._new_episodes().items():
            wide_mask = mask.reshape(-1, *[1] * (fresh.ndim - 1))
            world[name] = torch.where(wide_mask, fresh, self.world[name])
        self.world = world

    def entries(self) -> Entries:
        """Key → tensor of the present world, without `observation_mask` and the statistics."""
        state, observation = self.observe(self.world)
        found: Entries = {
            ("agents", "observation"): observation,
            ("agents", "state"): state,
            ("episode", "return"): self.world["return"].unsqueeze(-1),
            ("episode", "length"): self.world["step"].float().unsqueeze(-1),
            **self.landscape(self.world),
        }
        if self.masked:
            found["agents", "action_mask"] = self.action_mask(self.world)
        return found

    def measured(self) -> Entries:
        """Key → each of `statistic_names` in the present world, `[B, 1]`."""
        statistics = self.statistics(self.world)
        return {("episode", name): x.unsqueeze(-1) for name, x in statistics.items()}

    def assembled(self, entries: Mapping[NestedKey, Tensor], *steps: int) -> TensorDict:
        """A tensordict `[B, *steps]` of entries."""
        return assembled(entries, (*self.batch_size, *steps), self.n_agents, self.device)

    # ------------------------------------------------------------------ saved states
    def get_state(self) -> dict[str, Tensor]:
        """The world and the generator's state ("rng"): enough to continue bit-exactly."""
        world = self.world if self._restored is None else self._restored
        return {**{k: v.clone() for k, v in world.items()}, "rng": self.rng.get_state()}

    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `get_state` returned; the next full reset starts in this world.

        Args:
            state: without `step` and `return`, the episode starts in this world; without `rng`, the
                generator stays as it is.

        Raises:
            UsageError: the state is of another number of environments, of another environment, or
                its generator is of another kind of device.
        """
        saved = {k: v.to(self.device) for k, v in state.items() if k != "rng"}
        world = self._no_history() | saved
        need = tuple(self.batch_size)
        wrong = {tuple(v.shape[:1]) for v in world.values()} - {need}
        require(
            not wrong,
            f"the saved state is of {sorted(wrong)} environments, this one has {need}",
        )
        for name, shape in self._form.items():
            found = tuple(world[name].shape[1:]) if name in world else None
            require(
                found == tuple(shape),
                f"the saved state's {name} has the shape {found} in each environment, need "
                f"{tuple(shape)}: it is of another environment, or of other options",
            )
        if "rng" in state:
            self._set_generator(state["rng"])
        self._restored = world

    def _set_generator(self, state: Tensor) -> None:
        """Set the generator's state; the states of CPUs and GPUs differ in size."""
        found = state.numel()
        need = self.rng.get_state().numel()
        require(
            found == need,
            f"the saved state's generator has {found} bytes, one on {self.device} has {need}: it "
            "was saved on another kind of device; leave out its 'rng'",
        )
        self.rng.set_state(state.cpu())


class BatchedEnv(KnownGraphs, BatchedWorlds):
    """A batched environment whose dependencies between agents are known.

    `observation_graph`, `transition_graph` and `reward_graph` are bool `[N, N]` with a True
    diagonal: entry [i, j] says that s_j (or, for transitions and rewards, also a_j) enters the
    observation, next state or reward of agent i.
    """


def on_host(x: Tensor) -> bool:
    """Can the numbers of `x` be read without waiting for another device?"""
    return x.device.type == "cpu"
