"""Copies of a PettingZoo parallel environment as numpy arrays, in this process; `workers.py` spreads them over others.

Imports no torch: a child process that steps environments starts in half a second.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from gymnasium.spaces.utils import flatten
from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.layout import Agent, layout_of, line, listed
from ilvf.errors import UsageError, require

Arrays = dict[str, np.ndarray]  # one row per copy
Some = list[tuple[int, Agent]]  # some of the agents, with their places
APART = 100_003  # between the seeds of copies: runs with seeds 0, 1, 2, ... have no copy in common


class Copies:
    """`number` environments, reset and stepped one after the other; what they say is written into arrays.

    Environments whose work is done elsewhere may have `begin_reset(seed)` and `begin_step(actions)`: they are called
    for all copies before the first `reset` or `step`, and all work at the same time.

    | array | shape | |
    |---|---|---|
    | `observation`, `state` | `[k, N, Do]`, `[k, N, D]` float32 | zero-padded; `state` only where infos have it |
    | `action_mask` | `[k, N, A]` bool | only if `layout.masked`; the dead may do anything |
    | `alive` | `[k, N]` bool | |
    | `reward` | `[k, N]` float32 | |
    | `terminated`, `truncated` | `[k]` bool | of the team: the last agent has gone, and all by termination, or not |
    | `global_state` | `[k, G]` float32 | only if it is wanted |
    | `statistics` | `[k, S]` float32 | only where environments have `episode_statistics()`: name → number, so far |

    Args:
        make: makes one environment.
        seed: what the first copy will be seeded with, if that is known.
        dying: agents may end before others do.
        global_state: ask for `state()` at every step.
        first: the first copy's number, for sentences.
    """

    def __init__(
        self,
        make: Callable[[], ParallelEnv],
        number: int,
        *,
        seed: int = 0,
        dying: bool = False,
        global_state: bool = False,
        first: int = 0,
    ):
        self.dying, self.first, self.steps = dying, first, 0
        self.envs: list[ParallelEnv] = []
        try:
            self.envs.extend(make() for _ in range(number))
            require(
                len(set(map(id, self.envs))) == number,
                "the function that makes an environment made one twice",
            )
            require(
                bool(self.envs[0].possible_agents),
                f"{type(self.envs[0]).__name__} has no possible_agents",
            )
            probe = self.envs[0].reset(seed=seed)  # what comes with an info is seen only now
            self.layout = layout_of(self.envs[0], probe[1], global_state)
        except BaseException:
            self.close()
            raise
        self._probe: tuple[int, Any] | None = (seed, probe)
        self._agents: Some = list(enumerate(self.layout.agents))
        self._living: list[Some] = [self._agents] * number
        self._cut_short = [False] * number  # the clock has taken some agent of this episode
        self.arrays = self._allocate(number, global_state)

    def _allocate(self, k: int, global_state: bool) -> Arrays:
        n, size, state, actions = self.layout.sizes()
        arrays: Arrays = {
            "observation": np.zeros((k, n, size), np.float32),
            "alive": np.ones((k, n), bool),
            "reward": np.zeros((k, n), np.float32),
            "terminated": np.zeros(k, bool),
            "truncated": np.zeros(k, bool),
        }
        if any(a.state for a in self.layout.agents):
            arrays["state"] = np.zeros((k, n, state), np.float32)
        if self.layout.masked:
            arrays["action_mask"] = np.zeros((k, n, actions), bool)
            for i, agent in self._agents:
                arrays["action_mask"][:, i, : agent.actions] = True
        if global_state:
            arrays["global_state"] = np.zeros((k, self.layout.global_state), np.float32)
        if self.layout.statistics:
            arrays["statistics"] = np.zeros((k, len(self.layout.statistics)), np.float32)
        return arrays

    def reset(self, seeds: Mapping[int, int | None]) -> Arrays:
        """Begin new episodes in the copies that `seeds` names; None goes on with the copy's own random numbers."""
        for k, seed in seeds.items():
            if hasattr(self.envs[k], "begin_reset") and not self._is_probed(k, seed):
                self.envs[k].begin_reset(seed)
        for k, seed in seeds.items():
            observations, infos = self._begin(k, seed)
            there, need = set(self.envs[k].agents), {a.name for _, a in self._agents}
            if there != need:
                found, wanted = listed(there), listed(need)
                self._refuse(
                    k, f"has the agents {found} after reset, need all of possible_agents, {wanted}"
                )
            self._living[k], self._cut_short[k] = self._agents, False
            for name, blank in (
                ("alive", True),
                ("reward", 0),
                ("terminated", False),
                ("truncated", False),
            ):
                self.arrays[name][k] = blank
            self._look(k, self._agents, observations, infos)
        return self._kept()

    def _begin(self, k: int, seed: int | None) -> Any:
        """The reset that the constructor has made already, if nothing has happened since."""
        probe = self._probe[1] if self._probe and self._is_probed(k, seed) else None
        self._probe = None if k == 0 else self._probe
        return self.envs[k].reset(seed=seed) if probe is None else probe

    def _is_probed(self, k: int, seed: int | None) -> bool:
        return k == 0 and self._probe is not None and self._probe[0] == seed

    def step(self, action: np.ndarray) -> Arrays:
        """One step of all copies; `action` is `[k, N]`, each agent's counted from 0. The dead and the ended rest."""
        self.steps += 1
        rows = zip(action.tolist(), self._living, strict=True)
        chosen = [{agent.name: agent.start + row[i] for i, agent in living} for row, living in rows]
        for env, actions in zip(self.envs, chosen, strict=True):
            if actions and hasattr(env, "begin_step"):
                env.begin_step(actions)
        for k, actions in enumerate(chosen):
            self._step(k, actions)
        return self._kept()

    def _step(self, k: int, actions: Mapping[str, int]) -> None:
        before = self._living[k]
        self.arrays["reward"][k] = 0
        if not before:
            return
        observations, rewards, terminations, truncations, infos = self.envs[k].step(actions)
        lost, late, after = self._fates(k, rewards, terminations, truncations)
        self._same_agents(k, after)
        if lost or late:
            before = after or late  # those whom the clock stops last still have a future
            gone = lost + late if after else lost
            self._part(k, gone, late, after)
            self._last_look(k, gone, observations, infos)
        self._look(k, before, observations, infos)

    def _fates(
        self, k: int, rewards: Mapping, terminations: Mapping, truncations: Mapping
    ) -> tuple[Some, Some, Some]:
        """Pay everybody; (who is terminated, who is only truncated, who goes on)."""
        lost: Some = []
        late: Some = []
        after: Some = []
        paid = self.arrays["reward"][k]
        for i, agent in self._living[k]:
            name = agent.name
            try:
                paid[i] = rewards[name]
                fate = lost if terminations[name] else late if truncations[name] else after
            except KeyError:
                self._refuse(
                    k, f"gave no reward, termination or truncation of {name} in {self._when()}"
                )
            fate.append((i, agent))
        return lost, late, after

    def _same_agents(self, k: int, after: Some) -> None:
        """Nobody comes, and nobody leaves without a flag."""
        there, expected = self.envs[k].agents, [a.name for _, a in after]
        if list(there) == expected:
            return
        came = set(there) - {a.name for _, a in self._living[k]}
        if came:
            self._refuse(
                k,
                f"has the agents {listed(came)} after {self._when()}, which were not there before",
            )
        left = set(expected) - set(there)
        if left:
            self._refuse(
                k, f"lost {listed(left)} in {self._when()} without their termination or truncation"
            )

    def _part(self, k: int, gone: Some, late: Some, after: Some) -> None:
        """Some agents, or all, have come to their end."""
        if after and not self.dying:
            names, others = (listed(a.name for _, a in x) for x in (gone, after))
            ended = f"ended for {names} in {self._when()} and goes on for {others}"
            self._refuse(k, f"{ended}; dying=true says that agents can die")
        self._cut_short[k] |= bool(late)
        self._living[k] = after
        for i, _ in gone:
            self.arrays["alive"][k, i] = False
        if not after:
            self.arrays["terminated"][k] = not self._cut_short[k]
            self.arrays["truncated"][k] = self._cut_short[k]

    # ------------------------------------------------------------------ into the arrays
    def _look(
        self, k: int, agents: Some, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> None:
        """Write what these agents see."""
        for i, agent in agents:
            self._see(k, i, agent, observations, infos)
        if "global_state" in self.arrays:
            self.arrays["global_state"][k] = np.ravel(self.envs[k].state())
        if "statistics" in self.arrays:
            self.arrays["statistics"][k] = list(self.envs[k].episode_statistics().values())

    def _last_look(
        self, k: int, gone: Some, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> None:
        """Those who have no future: the dead see nothing and may do anything, a team that ends together sees how."""
        for i, agent in gone:
            if not self.dying and agent.name in observations and agent.name in infos:
                self._see(k, i, agent, observations, infos)
                continue
            for name in ("observation", "state"):
                if name in self.arrays:
                    self.arrays[name][k, i] = 0
            if "action_mask" in self.arrays:
                self.arrays["action_mask"][k, i, : agent.actions] = True

    def _see(
        self,
        k: int,
        i: int,
        agent: Agent,
        observations: Mapping[str, Any],
        infos: Mapping[str, Any],
    ) -> None:
        arrays = self.arrays
        try:
            seen = observations[agent.name]
            if agent.mask_in:
                holder = seen if agent.mask_in == "observation" else infos[agent.name]
                arrays["action_mask"][k, i, : agent.actions] = holder["action_mask"]
            if agent.state:
                arrays["state"][k, i, : agent.state] = np.ravel(infos[agent.name]["state"])
            if agent.mask_in == "observation":
                seen = seen["observation"]
        except KeyError as error:
            self._refuse(
                k, f"gave no {error} among observations and infos of {agent.name} in {self._when()}"
            )
        except ValueError as error:
            self._refuse(
                k, f"gave {agent.name} a state or action mask of another size: {line(error)}"
            )
        flat = np.ravel(seen) if type(agent.space) is spaces.Box else flatten(agent.space, seen)
        if len(flat) != agent.size:
            self._refuse(
                k,
                f"gave {agent.name} an observation of shape {np.shape(seen)}, its space is {agent.space}",
            )
        arrays["observation"][k, i, : agent.size] = flat

    def _kept(self) -> Arrays:
        return {name: value.copy() for name, value in self.arrays.items()}

    def _when(self) -> str:
        return f"step {self.steps}"

    def _refuse(self, k: int, what: str) -> NoReturn:
        raise UsageError(f"{self.envs[k]} (copy {self.first + k}) {what}")

    def close(self) -> None:
        """Close all of them, also if closing one fails."""
        with contextlib.ExitStack() as stack:
            while self.envs:
                stack.callback(self.envs.pop().close)
