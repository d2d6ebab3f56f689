"""Any PettingZoo parallel environment as one batch: B copies, in this process or spread over worker processes.

    make_env("pettingzoo/mpe2.simple_spread_v3", num_envs=32, seed=0, kwargs={"N": 5})
    make_env("pettingzoo/my_package.my_module:make_one", workers=8)
    PettingZoo(lambda: MyParallelEnv(size=3), num_envs=32)

**Agents** are `possible_agents`, in that order, in one group `agents`.  **Actions** must be `Discrete`.

**Observation**: any space that flattens into numbers, zero-padded to the widest; `observation_mask` marks what is
there.  **State** s_i: `infos[agent]["state"]` where there is one, else the observation. `global_state=True` adds
`state()` at the root.  **Action mask**: `action_mask` in the observation or in the info, and the actions that an agent
does not have.

**Reward** r_i: each agent's own.  **End**: when the last agent has gone; terminated if all of them were, else
truncated. `horizon` truncates by a clock of ours.

**Statistics**: what `episode_statistics()` says, where there is one (name → number, of the episode so far), is written
beside `return` and `length`.

**Death**: with `dying=True` agents may end before others. `("agents", "mask")` then says who is alive; the dead see
zeros and get nothing.

**Randomness**: copy k is seeded with `seed + 100 003 k` at its first reset and goes on from there. Where an environment
stands cannot be saved: a resumed run begins new episodes, with other seeds.

Run `python -m ilvf.envs.pettingzoo [TASK]` to see one.
"""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from ilvf.envs.pettingzoo.copies import APART, Arrays, Copies
from ilvf.envs.pettingzoo.layout import CLOCKS, make_parallel
from ilvf.envs.pettingzoo.workers import WorkerCopies
from ilvf.errors import UsageError, require

FLAGS = ("done", "terminated", "truncated")


class PettingZoo(EnvBase):
    """`num_envs` copies of one PettingZoo parallel environment; keys as in `BatchedEnv`, see the module's docstring.

    Args:
        task: `package.module`, whose `parallel_env` is called, `package.module:function`, or a function.
        kwargs: its arguments.
        horizon: steps until truncation; None leaves that to the environment, which must tell its limit.
        workers: child processes that the copies are spread over; 0 steps them here, one after the other.
        timeout: seconds that a worker may take for one step or reset.
        dying: agents may end before others do; adds `("agents", "mask")`.
        global_state: adds `state()`, `[B, G]`, under `global_state`.
        num_envs: B.
        seed: of the first copy, 100 003 k more for copy k; None draws one from torch's global generator.
        device: where all tensors live.
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
        horizon: int | None = None,
        workers: int = 0,
        timeout: float = 120.0,
        dying: bool = False,
        global_state: bool = False,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
    ):
        require(num_envs >= 1, f"num_envs={num_envs} must be at least 1")
        require(horizon is None or horizon >= 1, f"horizon={horizon} must be at least 1 step")
        require(
            workers >= 0,
            f"workers={workers} must not be negative; 0 steps all copies in this process",
        )
        require(timeout > 0, f"timeout={timeout} must be positive")
        super().__init__(device=torch.device(device), batch_size=torch.Size([num_envs]))
        self._fresh = np.ones(num_envs, bool)  # copies that will be seeded when they are reset
        self.set_seed(seed if seed is not None else int(torch.randint(2**31, ())))
        make = functools.partial(make_parallel, task, dict(kwargs or {}))
        self.copies = _copies(
            make,
            num_envs,
            workers,
            timeout,
            seed=self._seed,
            dying=dying,
            global_state=global_state,
        )
        self.is_closed = False  # TorchRL closes only what says that it is open
        self.layout, self.dying = self.copies.layout, dying
        self.n_agents, self.observation_dim, self.state_dim, self.n_actions = self.layout.sizes()
        self.masked, self.statistic_names = self.layout.masked, self.layout.statistics
        told = [
            horizon,
            self.layout.horizon,
            *(kwargs[c] for c in CLOCKS if kwargs and c in kwargs),
        ]
        self._clock, limit = horizon, next((t for t in told if t is not None), None)
        if limit is None:
            self.close()
            raise UsageError(f"{task} does not tell how long an episode is; say horizon=, in steps")
        self.horizon = limit
        self._length, self._return = np.zeros(num_envs, np.float32), np.zeros(num_envs, np.float32)
        self._declare_specs()

    @property
    def agents(self) -> tuple[str, ...]:
        """Their names in PettingZoo."""
        return tuple(a.name for a in self.layout.agents)

    @property
    def observation_mask(self) -> Tensor:
        """bool `[N, Do]`: False where the observation is padding."""
        return _first([a.size for a in self.layout.agents], self.observation_dim).to(self.device)

    def _declare_specs(self) -> None:
        b, n, a, dev = self.batch_size[0], self.n_agents, self.n_actions, self.device
        self._observation_mask = self.observation_mask.expand(b, n, -1)
        agents = Composite(
            observation=Unbounded((b, n, self.observation_dim), device=dev),
            observation_mask=Binary(
                self.observation_dim, (b, n, self.observation_dim), device=dev, dtype=torch.bool
            ),
            state=Unbounded((b, n, self.state_dim), device=dev),
            shape=(b, n),
            device=dev,
        )
        exists = None
        if self.masked:
            agents["action_mask"] = Binary(a, (b, n, a), device=dev, dtype=torch.bool)
            exists = (
                _first([agent.actions for agent in self.layout.agents], a).to(dev).expand(b, n, a)
            )
        if self.dying:
            agents["mask"] = Binary(n, (b, n), device=dev, dtype=torch.bool)
        names = ("return", "length", *self.statistic_names)
        episode = Composite(
            {k: Unbounded((b, 1), device=dev) for k in names}, shape=(b,), device=dev
        )
        g = self.layout.global_state
        whole = {"global_state": Unbounded((b, g), device=dev)} if g else {}
        self.observation_spec = Composite(
            agents=agents, episode=episode, **whole, shape=(b,), device=dev
        )
        action = Categorical(a, (b, n), device=dev, dtype=torch.int64, mask=exists)
        self.action_spec = Composite(
            agents=Composite(action=action, shape=(b, n)), shape=(b,), device=dev
        )
        reward = Unbounded((b, n, 1), device=dev)
        self.reward_spec = Composite(
            agents=Composite(reward=reward, shape=(b, n)), shape=(b,), device=dev
        )
        flag = {k: Binary(1, (b, 1), device=dev, dtype=torch.bool) for k in FLAGS}
        self.done_spec = Composite(flag, shape=(b,), device=dev)

    # ------------------------------------------------------------------ TorchRL
    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        which = (
            np.arange(self.batch_size[0])
            if mask is None
            else mask.reshape(-1).cpu().numpy().nonzero()[0]
        )
        arrays = self.copies.reset(
            {int(k): int(self._seed + APART * k) if self._fresh[k] else None for k in which}
        )
        self._fresh[which], self._length[which], self._return[which] = False, 0, 0
        out = self._look(arrays)
        false = torch.zeros(*self.batch_size, 1, dtype=torch.bool, device=self.device)
        return out.update({k: false.clone() for k in FLAGS})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(("agents", "action")).cpu().numpy()
        if self.masked:
            self._require_existing(action)
        arrays = self.copies.step(action)
        self._length += 1
        self._return += arrays["reward"].sum(-1)
        out = self._look(arrays)
        out.set(("agents", "reward"), self._tensor(arrays["reward"]).unsqueeze(-1))
        terminated, truncated = arrays["terminated"], arrays["truncated"]
        if self._clock is not None:
            truncated = (truncated | (self._length >= self._clock)) & ~terminated
        for name, flag in zip(FLAGS, (terminated | truncated, terminated, truncated), strict=True):
            out.set(name, self._tensor(flag).unsqueeze(-1))
        return out

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self._seed = seed
            self._fresh[:] = True

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Close all copies and end the workers."""
        if "copies" in self.__dict__:
            self.copies.close()
        super().close(raise_if_closed=raise_if_closed)

    # ------------------------------------------------------------------ from arrays to tensors
    def _look(self, arrays: Arrays) -> TensorDict:
        self._require_finite(arrays)
        b, dev = self.batch_size, self.device
        observation = self._tensor(arrays["observation"])
        agents = {
            "observation": observation,
            "observation_mask": self._observation_mask,
            "state": self._tensor(arrays["state"]) if "state" in arrays else observation,
        }
        if self.masked:
            agents["action_mask"] = self._tensor(arrays["action_mask"])
        if self.dying:
            agents["mask"] = self._tensor(arrays["alive"])
        episode = {
            k: self._tensor(v.copy()).unsqueeze(-1) for k, v in self._episode(arrays).items()
        }
        whole = {k: self._tensor(arrays[k]) for k in ("global_state",) if k in arrays}
        return TensorDict(
            {
                "agents": TensorDict(agents, [*b, self.n_agents], device=dev),
                "episode": TensorDict(episode, b, device=dev),
                **whole,
            },
            b,
            device=dev,
        )

    def _episode(self, arrays: Arrays) -> Arrays:
        names = self.statistic_names
        more = dict(zip(names, arrays["statistics"].T, strict=True)) if names else {}
        return {"return": self._return, "length": self._length, **more}

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    # ------------------------------------------------------------------ what cannot be
    def _require_finite(self, arrays: Arrays) -> None:
        for name in ("observation", "state", "reward"):
            if name in arrays and not np.isfinite(arrays[name]).all():
                copy, agent, *_ = np.argwhere(~np.isfinite(arrays[name]))[0]
                raise UsageError(
                    f"the {name} of {self.agents[agent]} in copy {copy} is NaN or infinite after "
                    f"{int(self._length[copy])} steps of an episode"
                )
        if not self.masked:
            return
        able = arrays["action_mask"].any(-1) | (arrays["terminated"] | arrays["truncated"])[:, None]
        if not able.all():
            copy, agent = np.argwhere(~able)[0]
            raise UsageError(
                f"the action mask of {self.agents[agent]} in copy {copy} allows nothing after "
                f"{int(self._length[copy])} steps of an episode"
            )

    def _require_existing(self, action: np.ndarray) -> None:
        sizes = np.array([a.actions for a in self.layout.agents])
        if not (action < sizes).all():
            copy, agent = np.argwhere(action >= sizes)[0]
            raise UsageError(
                f"action {action[copy, agent]} of {self.agents[agent]}, which has {sizes[agent]}: the policy must read "
                "('agents', 'action_mask')"
            )


def _copies(
    make: Callable[[], Any], num_envs: int, workers: int, timeout: float, **options: Any
) -> Copies | WorkerCopies:
    if not workers:
        return Copies(make, num_envs, **options)
    return WorkerCopies(make, num_envs, workers=min(workers, num_envs), timeout=timeout, **options)


def _first(counts: list[int], size: int) -> Tensor:
    """bool `[N, size]`: True in the first `counts[i]` places of row i."""
    return torch.arange(size) < torch.tensor(counts).unsqueeze(1)


def main(task: str = "mpe2.simple_spread_v3") -> None:
    from ilvf.envs.check import check_env

    print(__doc__)
    env = PettingZoo(task, num_envs=32, seed=0)
    print(f"{task}: {check_env(env)}\nhorizon {env.horizon}\n")
    for a in env.layout.agents:
        print(
            f"  {a.name:<16} observes {a.size:3d} numbers, {a.actions:2d} actions{', masked' * bool(a.mask_in)}"
        )
    started = time.perf_counter()
    rollout = env.rollout(100, break_when_any_done=False)
    seconds = time.perf_counter() - started
    done = rollout["next", "done"]
    print(f"\n{int(done.sum())} random episodes, mean return of the team", end=" ")
    print(f"{rollout['next', 'episode', 'return'][done].mean():.1f}; {3200 / seconds:.0f} steps/s")
