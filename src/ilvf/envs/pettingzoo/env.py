"""A batch of PettingZoo parallel environments as one TorchRL environment.

`ilvf.envs.pettingzoo` describes the conventions.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.envs.options import PettingZooOptions
from ilvf.envs.pettingzoo.arrays import Arrays
from ilvf.envs.pettingzoo.checks import (
    require_actions,
    require_finite,
    require_possible_actions,
)
from ilvf.envs.pettingzoo.copies import SEED_STRIDE, Copies
from ilvf.envs.pettingzoo.layout import TIME_LIMITS
from ilvf.envs.pettingzoo.specs import (
    action_spec,
    observation_mask,
    observation_spec,
    team_specs,
)
from ilvf.envs.pettingzoo.tasks import make_parallel, name_of
from ilvf.envs.pettingzoo.workers import WorkerCopies
from ilvf.envs.specs import FLAGS
from ilvf.errors import UsageError
from ilvf.modules.entity_sets import Found
from ilvf.modules.images import Image
from ilvf.options import configure
from ilvf.options.arguments import keywords, require_batch


class PettingZoo(EnvBase):
    """`num_envs` copies of one PettingZoo parallel environment, with the keys of `BatchedEnv`.

    Args:
        task: `package.module`, whose `parallel_env` is called, `package.module:function`, or a
            function.
        kwargs: arguments of that function.
        num_envs: B, copies.
        seed: of the first copy; copy k has 100 003 k more. None draws one from torch's global
            generator.
        device: of all tensors.
        **options: `horizon`, `workers`, `timeout`, `entities`, `dying`, `global_state`; see
            `PettingZooOptions`.

    Raises:
        UsageError: a wrong option, a task that cannot be made or has no known time limit; during
            a rollout, an environment that raises anything or breaks PettingZoo's rules, or a worker
            that fails.
    """

    n_agents: int
    n_actions: int
    observation_dim: int
    state_dim: int
    masked: bool = False
    statistic_names: tuple[str, ...] = ()
    batch_locked = True

    def __init__(
        self,
        task: str | Callable[..., Any],
        kwargs: Mapping[str, Any] | None = None,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        name = type(self).__name__
        chosen = configure(PettingZooOptions, options, name)
        arguments = keywords(name, kwargs)
        require_batch(name, num_envs, seed, device)
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self._unseeded = np.ones(num_envs, bool)  # copies that get a seed at their next reset
        self.set_seed(seed if seed is not None else int(torch.randint(2**31, ())))
        make = functools.partial(make_parallel, task, arguments)
        self.copies = _make_copies(make, num_envs, self._seed, chosen)
        self.is_closed = False  # TorchRL closes only environments that are marked as open
        self.layout = self.copies.layout
        self.dying = chosen.dying
        self.n_agents, self.observation_dim, self.state_dim, self.n_actions = self.layout.sizes()
        self.masked = self.layout.masked
        self.statistic_names = self.layout.statistics
        self._own_horizon = chosen.horizon
        self.horizon = self._find_horizon(task, arguments)
        counts = self.layout.acting.counts
        self.action_counts = np.broadcast_to(counts, (num_envs, *counts.shape))
        self._length = np.zeros(num_envs, np.float32)
        self._return = np.zeros(num_envs, np.float32)
        self._observation_mask = self.observation_mask.expand(num_envs, self.n_agents, -1)
        self._declare_specs()

    def _find_horizon(self, task: Any, arguments: Mapping[str, Any]) -> int:
        """The option `horizon`, the environment's own time limit, or that among its arguments."""
        limits = [self._own_horizon, self.layout.horizon]
        limits += [arguments.get(name) for name in TIME_LIMITS]
        for limit in limits:
            if isinstance(limit, int) and limit > 0:
                return limit
        self.close()
        raise UsageError(
            f"{name_of(task)} does not tell how long an episode is; give horizon in steps, "
            "on the command line env.horizon=..."
        )

    def _declare_specs(self) -> None:
        team = team_specs(self.layout, self.batch_size[0], self.device)
        self.observation_spec = observation_spec(self.layout, team, dying=self.dying)
        self.action_spec = action_spec(self.layout, team)
        self.reward_spec = team.reward()
        self.done_spec = team.done()

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents' names in PettingZoo."""
        return self.layout.names

    @property
    def agent_names(self) -> tuple[str, ...]:
        """The same, for pictures."""
        return self.layout.names

    @property
    def observation_mask(self) -> Tensor:
        """False where an observation is padding, bool `[N, Do]`."""
        return observation_mask(self.layout).to(self.device)

    @property
    def observation_image(self) -> Image | None:
        """The image in the observation, if all agents have the same."""
        return self.layout.image

    @property
    def state_image(self) -> Image | None:
        """The image in the state, if that is the observation."""
        return None if self.layout.has_state else self.layout.image

    @property
    def observation_sets(self) -> Found:
        """The sets of entities in the observation, if all agents have the same; or an error."""
        return self.layout.sets

    @property
    def state_sets(self) -> Found:
        """Those in the state, if that is the observation."""
        return () if self.layout.has_state else self.layout.sets

    # ------------------------------------------------------------------ TorchRL
    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        rows = np.arange(self.batch_size[0])
        if mask is not None:
            rows = mask.reshape(-1).cpu().numpy().nonzero()[0]
        seeds = {int(k): self._seed_of(int(k)) for k in rows}
        arrays = self.copies.reset(seeds)
        self._unseeded[rows] = False
        self._length[rows] = 0
        self._return[rows] = 0
        return self._start(arrays)

    def restore_copies(
        self, saved: Sequence[Any], lengths: np.ndarray, returns: np.ndarray
    ) -> TensorDictBase:
        """Go on from what `copies.save()` returned; the result is that of a reset.

        Args:
            saved: one state for each copy.
            lengths: steps of the episodes so far, `[B]`.
            returns: of the teams so far, `[B]`.
        """
        arrays = self.copies.restore(saved)
        self._unseeded[:] = False
        self._length[:] = lengths
        self._return[:] = returns
        return self._start(arrays)

    @property
    def team_returns(self) -> Tensor:
        """Return of the team in every episode so far, `[B]`."""
        return self._to_tensor(self._return.copy())

    def _start(self, arrays: Arrays) -> TensorDict:
        """What a reset returns."""
        out = self._tensordict(arrays)
        for name in FLAGS:
            out.set(name, torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device))
        return out

    def _seed_of(self, copy: int) -> int | None:
        """The seed of a copy at its first reset, None after that."""
        return int(self._seed + SEED_STRIDE * copy) if self._unseeded[copy] else None

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action")).cpu().numpy()
        require_actions(action, self.action_counts, self.layout)
        arrays = self.copies.step(action)
        self._length += 1
        self._return += arrays["reward"].sum(-1)
        out = self._tensordict(arrays)
        out.set(("agents", "reward"), self._to_tensor(arrays["reward"]).unsqueeze(-1))
        terminated = arrays["terminated"]
        truncated = arrays["truncated"]
        if self._own_horizon is not None:
            truncated = (truncated | (self._length >= self._own_horizon)) & ~terminated
        flags = {"done": terminated | truncated, "terminated": terminated, "truncated": truncated}
        for name, flag in flags.items():
            out.set(name, self._to_tensor(flag).unsqueeze(-1))
        return out

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self._seed = seed
            self._unseeded[:] = True

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Close all copies and end the workers."""
        try:
            if "copies" in self.__dict__:
                self.copies.close()
        finally:
            super().close(raise_if_closed=raise_if_closed)

    # ------------------------------------------------------------------ tensors
    def _tensordict(self, arrays: Arrays) -> TensorDict:
        """Checked arrays as a tensordict `[B]`, without rewards and flags."""
        require_finite(arrays, self.layout, self._length)
        require_possible_actions(arrays, self.layout, self._length)
        observation = self._to_tensor(arrays["observation"])
        agents = {
            "observation": observation,
            "observation_mask": self._observation_mask,
            "state": self._to_tensor(arrays["state"]) if "state" in arrays else observation,
        }
        if self.masked:
            agents["action_mask"] = self._to_tensor(arrays["action_mask"])
        if self.dying:
            agents["mask"] = self._to_tensor(arrays["alive"])
            agents["bootstrap"] = self._to_tensor(arrays["bootstrap"])
        episode = {
            name: self._to_tensor(value.copy()).unsqueeze(-1)
            for name, value in self._statistics(arrays).items()
        }
        b = self.batch_size
        content: dict[str, Any] = {
            "agents": TensorDict(agents, [*b, self.n_agents], device=self.device),
            "episode": TensorDict(episode, b, device=self.device),
        }
        if "global_state" in arrays:
            content["global_state"] = self._to_tensor(arrays["global_state"])
        return TensorDict(content, b, device=self.device)

    def _statistics(self, arrays: Arrays) -> Arrays:
        """Return, length and the environment's statistics of every episode so far, `[B]` each."""
        statistics = {"return": self._return, "length": self._length}
        if self.statistic_names:
            columns = arrays["statistics"].T
            statistics |= dict(zip(self.statistic_names, columns, strict=True))
        return statistics

    def _to_tensor(self, array: np.ndarray) -> Tensor:
        """An array as a tensor on the environment's device."""
        return torch.from_numpy(array).to(self.device)


def _make_copies(
    make: Callable[[], Any], num_envs: int, seed: int, options: PettingZooOptions
) -> Copies | WorkerCopies:
    """All copies in this process, or spread over workers."""
    common: dict[str, Any] = {
        "seed": seed,
        "dying": options.dying,
        "global_state": options.global_state,
        "entities": options.entities,
        "total": num_envs,
    }
    if options.workers == 0:
        return Copies(make, num_envs, **common)
    workers = min(options.workers, num_envs)
    return WorkerCopies(make, num_envs, workers=workers, timeout=options.timeout, **common)
