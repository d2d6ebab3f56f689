"""One PettingZoo environment of a batch: who is still in its episode, and its row of the arrays.

Imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.arrays import Arrays, allow_all, clear_agent, write_agent
from ilvf.envs.pettingzoo.faults import ProtocolError, call, label, name_list, raise_in_words
from ilvf.envs.pettingzoo.layout import Agent, Layout
from ilvf.envs.pettingzoo.results import Values, require_agents, unpack_reset, unpack_step
from ilvf.envs.pettingzoo.rules import (
    Team,
    require_expected_agents,
    require_joint_end,
    require_known,
    require_whole_team,
)
from ilvf.envs.pettingzoo.values import flag, flat, number

MISSING = object()  # there is no entry


class EnvCopy:
    """Steps one environment and writes what it returns into a row of the arrays.

    Args:
        env: the environment.
        layout: its sizes.
        arrays: shared with the other copies, see `allocate`.
        row: of this copy in the arrays.
        number: of this copy in the whole batch, for messages.
        dying: agents may end before others do.

    Raises:
        UsageError: by `reset` and `step`, if the environment raises anything or breaks a rule.
    """

    def __init__(
        self,
        env: ParallelEnv,
        layout: Layout,
        arrays: Arrays,
        row: int,
        *,
        number: int,
        dying: bool,
    ):
        self.env = env
        self.layout = layout
        self.arrays = arrays
        self.row = row
        self.dying = dying
        self.name = f"{label(env)} (copy {number})"
        self.steps = 0  # of all episodes
        self.team: Team = list(enumerate(layout.agents))
        self.names = frozenset(layout.names)
        self.living: Team = self.team  # agents that are still in this episode
        self.leaving: Team = []  # agents that were truncated in the last step, before others

    # ------------------------------------------------------------------ episodes
    def begin_reset(self, seed: int | None) -> None:
        """Let an environment that works elsewhere begin its reset."""
        call(self._where_reset(), self.env.begin_reset, seed)  # type: ignore[attr-defined]

    def reset(self, seed: int | None, start: Any = None) -> None:
        """Start an episode.

        Args:
            seed: of the environment; None continues with its random numbers.
            start: result of a reset with this seed that has been made before; None makes one.
        """
        call(self._where_reset(), self._reset, seed, start)

    def _where_reset(self) -> str:
        return f"{self.name} in the reset after step {self.steps}"

    def _reset(self, seed: int | None, start: Any) -> None:
        result = self.env.reset(seed=seed) if start is None else start
        observations, infos = unpack_reset(result)
        require_whole_team(self.env, self.layout.names)
        if len(observations) > len(self.team):
            require_agents(observations, "observations", self.names)
        self.living = self.team
        self.leaving = []
        self.arrays["alive"][self.row] = True
        self.arrays["bootstrap"][self.row] = True
        self.arrays["reward"][self.row] = 0
        self.arrays["terminated"][self.row] = False
        self.arrays["truncated"][self.row] = False
        self._write(self.team, observations, infos)
        self._write_extras()

    def actions(self, chosen: Sequence[Any]) -> dict[str, Any]:
        """The environment's actions of the living agents, see `Acting.own`, from N rows."""
        return {agent.name: agent.acting.own(chosen[i]) for i, agent in self.living}

    def begin_step(self, actions: Mapping[str, Any]) -> None:
        """Let an environment that works elsewhere begin its step."""
        where = f"{self.name} in step {self.steps + 1}"
        call(where, self.env.begin_step, actions)  # type: ignore[attr-defined]

    def step(self, actions: Mapping[str, Any]) -> None:
        """One step. Nothing happens after the end of an episode."""
        self.steps += 1
        self.arrays["reward"][self.row] = 0
        if not self.living:
            return
        try:
            self._step(actions)
        except BaseException as error:  # environments raise anything
            raise_in_words(f"{self.name} in step {self.steps}", error)

    def _step(self, actions: Mapping[str, Any]) -> None:
        result = self.env.step(actions)
        observations, rewards, terminations, truncations, infos = unpack_step(result)
        per_agent = {
            "observations": observations,
            "rewards": rewards,
            "terminations": terminations,
            "truncations": truncations,
        }
        require_known(per_agent, self.living, self.names)
        self._write_rewards(rewards)
        terminated, truncated, remaining = self._outcomes(terminations, truncations)
        require_expected_agents(self.env, self.living, remaining)
        for i, agent in self.leaving:
            self._clear(i, agent)
        self.leaving = []
        if terminated or truncated:
            if not self.dying:
                require_joint_end(terminated, truncated, remaining)
            self._end(terminated, truncated, remaining)
        # A truncated agent keeps its last observation, whose value is bootstrapped.
        self._write(remaining + truncated, observations, infos)
        for i, agent in self.leaving:
            allow_all(self.arrays, (self.row, i), agent)
        if terminated and not self.dying:
            self._write_end(terminated, observations, infos)
        self._write_extras()

    # ------------------------------------------------------------------ ends
    def _write_rewards(self, rewards: Values) -> None:
        row = self.arrays["reward"][self.row]
        for i, agent in self.living:
            reward = rewards.get(agent.name, MISSING)
            if reward is MISSING:
                raise ProtocolError(f"there is no reward of {agent.name}")
            if not isinstance(reward, float):
                reward = number(reward, "reward", agent.name)
            row[i] = reward

    def _outcomes(self, terminations: Values, truncations: Values) -> tuple[Team, Team, Team]:
        """The (terminated, only truncated, remaining) agents."""
        terminated: Team = []
        truncated: Team = []
        remaining: Team = []
        for place in self.living:
            name = place[1].name
            ends = terminations.get(name, MISSING)
            stops = truncations.get(name, MISSING)
            if ends is False and stops is False:
                remaining.append(place)
                continue
            if ends is MISSING or stops is MISSING:
                kind = "termination" if ends is MISSING else "truncation"
                raise ProtocolError(f"there is no {kind} of {name}")
            stops = flag(stops, "truncation", name)
            if flag(ends, "termination", name):
                terminated.append(place)
            elif stops:
                truncated.append(place)
            else:
                remaining.append(place)
        return terminated, truncated, remaining

    def _end(self, terminated: Team, truncated: Team, remaining: Team) -> None:
        """Record the end of some agents, and of the episode if none remains."""
        self.living = remaining
        for i, agent in terminated:
            self.arrays["alive"][self.row, i] = False
            self._clear(i, agent)
        if remaining:
            self.leaving = truncated
            for i, _ in truncated:
                self.arrays["alive"][self.row, i] = False
        else:
            self.arrays["terminated"][self.row] = not truncated
            self.arrays["truncated"][self.row] = bool(truncated)

    def _clear(self, i: int, agent: Agent) -> None:
        """Write an agent that has no future."""
        clear_agent(self.arrays, (self.row, i), agent)
        self.arrays["bootstrap"][self.row, i] = False

    # ------------------------------------------------------------------ arrays
    def _write(self, agents: Team, observations: Values, infos: Values) -> None:
        """Write what these agents observe."""
        for i, agent in agents:
            write_agent(self.arrays, (self.row, i), agent, observations, infos)

    def _write_end(self, terminated: Team, observations: Values, infos: Values) -> None:
        """Write how the episode ended for a team; no agent has to observe its end."""
        for i, agent in terminated:
            if agent.name in observations and (agent.name in infos or not agent.needs_info):
                self._write([(i, agent)], observations, infos)

    def _write_extras(self) -> None:
        """Write the global state and the episode's statistics, if they are wanted."""
        space = self.layout.state_space
        if space is not None:
            state = flat(space, self.env.state(), "state()", "the environment")
            self.arrays["global_state"][self.row] = state
        if self.layout.statistics:
            self.arrays["statistics"][self.row] = self._statistics()

    def _statistics(self) -> list[float]:
        """`episode_statistics()` in the order of the layout."""
        found = self.env.episode_statistics()  # type: ignore[attr-defined]
        names = self.layout.statistics
        if not isinstance(found, dict) or found.keys() != set(names):
            raise ProtocolError(
                f"episode_statistics() has {name_list(found)}, and had {name_list(names)} before; "
                "they must not change"
            )
        return [number(found[name], "statistic", name) for name in names]
