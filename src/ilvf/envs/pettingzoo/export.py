"""This library's environments as PettingZoo parallel environments, for other libraries.

    env = as_pettingzoo("encircle", n_agents=10)
    observations, infos = env.reset(seed=0)
    observations, rewards, terminations, truncations, infos = env.step({a: 0 for a in env.agents})

Agents are `agent_0`, `agent_1`, ...  **Observation**: a Box without the padding; where actions can be impossible, a
Dict of `observation` and `action_mask`.  **infos**: each agent's own `state`, which critics of this library see, and at
the end of an episode its statistics under `episode`.  **`state()`**: all agents' states side by side.

Run `python -m ilvf.envs.pettingzoo.export [NAME]` to see one pass PettingZoo's own tests.
"""

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from ilvf.envs.base import BatchedEnv
from ilvf.errors import require

Dicts = tuple[
    dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]
]


def as_pettingzoo(
    env: str | BatchedEnv, *, render_mode: str | None = None, **kwargs: Any
) -> "AsPettingZoo":
    """A scenario, by its name and arguments or as a batch of one, as a PettingZoo parallel environment.

    render_mode: None, or `rgb_array` for a scenario that has pictures. After `env.eval()` a batch of one pays what
    scores count, where that differs from what training does.
    """
    if isinstance(env, str):
        from ilvf.envs import make_env

        env = make_env(env, num_envs=1, **kwargs)  # type: ignore[assignment]
        kwargs = {}
    require(
        isinstance(env, BatchedEnv),
        f"{type(env).__name__} is no scenario of this library; give its name, or one",
    )
    require(
        not kwargs,
        f"{', '.join(kwargs)}: arguments go with a name, and not with a ready environment",
    )
    return AsPettingZoo(env, render_mode)  # type: ignore[arg-type]


class AsPettingZoo(ParallelEnv):
    """See the module's docstring.

    Args:
        env: a batch of one.
        render_mode: None or `rgb_array`.
    """

    def __init__(self, env: BatchedEnv, render_mode: str | None = None):
        require(
            env.batch_size[0] == 1,
            f"num_envs={env.batch_size[0]}: a PettingZoo environment is one; make several",
        )
        drawn = ("rgb_array",) if hasattr(env, "draw") else ()
        require(
            render_mode is None or render_mode in drawn,
            f"render_mode={render_mode!r} is not known here; choose one of {', '.join(['None', *drawn])}",
        )
        self.env, self.render_mode, self.horizon = env, render_mode, env.horizon
        self.metadata = {
            "name": type(env).__name__.lower(),
            "render_modes": list(drawn),
            "is_parallelizable": True,
        }
        self.possible_agents = [f"agent_{i}" for i in range(env.n_agents)]
        self.agents: list[str] = []
        self._seen = env.observation_mask.cpu().numpy()  # [N, Do]
        sees = dict(zip(self.possible_agents, self._seen.sum(-1).tolist(), strict=True))
        self.observation_spaces = {a: self._space(size) for a, size in sees.items()}
        self.action_spaces = {a: spaces.Discrete(env.n_actions) for a in self.possible_agents}
        self.state_space = _box(env.n_agents * env.state_dim)

    def _space(self, size: int) -> spaces.Space:
        if not self.env.masked:
            return _box(size)
        return spaces.Dict(
            {"observation": _box(size), "action_mask": spaces.MultiBinary(self.env.n_actions)}
        )

    def observation_space(self, agent: str) -> spaces.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.action_spaces[agent]

    # ------------------------------------------------------------------ episodes
    def reset(
        self, seed: int | None = None, options: dict | None = None
    ) -> tuple[dict[str, Any], dict[str, dict]]:
        if seed is not None:
            self.env.set_seed(seed)
        self.agents = list(self.possible_agents)
        return self._look(self.env._reset())

    def step(self, actions: Mapping[str, int]) -> Dicts:
        require(bool(self.agents), "the episode is over; reset() begins the next one")
        td = self.env._step(TensorDict({"agents": {"action": self._chosen(actions)}}, [1]))
        observations, infos = self._look(td)
        rewards, names = td["agents", "reward"].flatten().tolist(), self.agents
        done, terminated, truncated = (bool(td[k]) for k in ("done", "terminated", "truncated"))
        if done:
            episode = {k: float(v) for k, v in td["episode"].items()}
            infos = {a: info | {"episode": dict(episode)} for a, info in infos.items()}
            self.agents = []
        flags = (dict.fromkeys(names, terminated), dict.fromkeys(names, truncated))
        return observations, dict(zip(names, rewards, strict=True)), *flags, infos

    def _chosen(self, actions: Mapping[str, int]) -> Tensor:
        missing = [a for a in self.agents if a not in actions]
        require(not missing, f"step needs an action of every agent; {', '.join(missing)} has none")
        chosen = [int(actions[a]) for a in self.agents]
        wrong = [
            (a, c)
            for a, c in zip(self.agents, chosen, strict=True)
            if not 0 <= c < self.env.n_actions
        ]
        require(not wrong, f"(agent, action) {wrong}: actions are 0 to {self.env.n_actions - 1}")
        return torch.tensor([chosen], device=self.env.device)

    def _look(self, td: TensorDictBase) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        group = td["agents"]
        observation, state = (group[k][0].cpu().numpy() for k in ("observation", "state"))
        self._state = state.astype(np.float32)
        seen = {a: observation[i, self._seen[i]] for i, a in enumerate(self.possible_agents)}
        if self.env.masked:
            allowed = group["action_mask"][0].cpu().numpy().astype(np.int8)
            seen = {
                a: {"observation": seen[a], "action_mask": allowed[i]}
                for i, a in enumerate(self.possible_agents)
            }
        return seen, {
            a: {"state": self._state[i].copy()} for i, a in enumerate(self.possible_agents)
        }

    def state(self) -> np.ndarray:
        """All agents' states side by side, `[N·D]`."""
        return self._state.flatten()

    # ------------------------------------------------------------------ pictures
    def render(self) -> np.ndarray | None:
        """The present state, `[height, width, 3]` uint8."""
        if self.render_mode is None:
            return None
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self.env.draw())  # type: ignore[operator]
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def close(self) -> None:
        self.env.close()


def _box(size: int) -> spaces.Box:
    return spaces.Box(-np.inf, np.inf, (size,), np.float32)


def main(name: str = "encircle") -> None:
    from pettingzoo.test import parallel_api_test, parallel_seed_test

    print(__doc__)
    env = as_pettingzoo(name)
    for agent in env.possible_agents:
        print(f"{agent:<10} {env.observation_space(agent)}  {env.action_space(agent)}")
    parallel_api_test(env, num_cycles=100)
    parallel_seed_test(lambda: as_pettingzoo(name), num_cycles=20)


if __name__ == "__main__":
    main(*sys.argv[1:])
