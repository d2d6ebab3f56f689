"""One PettingZoo environment of a batch: who is still in its episode, and its row of the arrays.

Imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.arrays import Arrays, allow_all, clear_agent, write_agent
from ilvf.envs.pettingzoo.declared import agent_names, present_agents
from ilvf.envs.pettingzoo.faults import ProtocolError, call, label, name_list
from ilvf.envs.pettingzoo.layout import Agent, Layout
from ilvf.envs.pettingzoo.results import (
    Values,
    require_agents,
    require_no_lost_reward,
    unpack_reset,
    unpack_step,
)
from ilvf.envs.pettingzoo.values import flag, flat, number

Team = list[tuple[int, Agent]]  # agents with their indices


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
        self.any_truncated = False  # some agent of this episode was truncated

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
        self._require_whole_team()
        if len(observations) > len(self.team):
            require_agents(observations, "observations", self.names)
        self.living = self.team
        self.leaving = []
        self.any_truncated = False
        self.arrays["alive"][self.row] = True
        self.arrays["bootstrap"][self.row] = True
        self.arrays["reward"][self.row] = 0
        self.arrays["terminated"][self.row] = False
        self.arrays["truncated"][self.row] = False
        self._write(self.team, observations, infos)
        self._write_extras()

    def actions(self, chosen: Sequence[int]) -> dict[str, int]:
        """The environment's actions of the living agents, from indices counted from 0 `[N]`."""
        return {agent.name: agent.start + chosen[i] for i, agent in self.living}

    def begin_step(self, actions: Mapping[str, int]) -> None:
        """Let an environment that works elsewhere begin its step."""
        where = f"{self.name} in step {self.steps + 1}"
        call(where, self.env.begin_step, actions)  # type: ignore[attr-defined]

    def step(self, actions: Mapping[str, int]) -> None:
        """One step. Nothing happens after the end of an episode."""
        self.steps += 1
        self.arrays["reward"][self.row] = 0
        if self.living:
            call(f"{self.name} in step {self.steps}", self._step, actions)

    def _step(self, actions: Mapping[str, int]) -> None:
        result = self.env.step(actions)
        observations, rewards, terminations, truncations, infos = unpack_step(result)
        self._require_known(observations, rewards, terminations, truncations)
        self._write_rewards(rewards)
        terminated, truncated, remaining = self._outcomes(terminations, truncations)
        self._require_expected_agents(remaining)
        for i, agent in self.leaving:
            self._clear(i, agent)
        self.leaving = []
        if terminated or truncated:
            self._require_joint_end(terminated, truncated, remaining)
            self._end(terminated, truncated, remaining)
        # A truncated agent keeps its last observation, whose value is bootstrapped.
        self._write(remaining + truncated, observations, infos)
        for i, agent in self.leaving:
            allow_all(self.arrays, (self.row, i), agent)
        if terminated and not self.dying:
            self._write_end(terminated, observations, infos)
        self._write_extras()

    # ------------------------------------------------------------------ rules
    def _require_whole_team(self) -> None:
        """After a reset `agents` must be all of `possible_agents`, which must not change."""
        possible = agent_names(self.env)
        if possible != list(self.layout.names):
            raise ProtocolError(
                f"possible_agents is now {name_list(possible)}, and was "
                f"{name_list(self.layout.names)}; it must not change"
            )
        present = present_agents(self.env)
        if set(present) != self.names:
            raise ProtocolError(
                f"agents is {name_list(present)} after reset, need all of possible_agents, "
                f"{name_list(possible)}"
            )

    def _require_known(
        self, observations: Values, rewards: Values, terminations: Values, truncations: Values
    ) -> None:
        """No entry may belong to something that is no agent, and no reward may get lost."""
        n = len(self.living)
        if len(rewards) > n:
            require_agents(rewards, "rewards", self.names)
            require_no_lost_reward(rewards, {agent.name for _, agent in self.living})
        if len(observations) > n:
            require_agents(observations, "observations", self.names)
        if len(terminations) > n:
            require_agents(terminations, "terminations", self.names)
        if len(truncations) > n:
            require_agents(truncations, "truncations", self.names)

    def _require_expected_agents(self, remaining: Team) -> None:
        """No agent may appear, and none may leave without being terminated or truncated."""
        present = present_agents(self.env)
        expected = [agent.name for _, agent in remaining]
        if present == expected:
            return
        found = set(present)
        new = found - {agent.name for _, agent in self.living}
        if new:
            raise ProtocolError(
                f"agents has {name_list(new)} now, not there before the step; an agent can only "
                "come in a reset"
            )
        left = set(expected) - found
        if left:
            raise ProtocolError(
                f"agents lost {name_list(left)} without a termination or truncation"
            )
        stale = found - set(expected)
        if remaining and stale:
            raise ProtocolError(
                f"agents still has {name_list(stale)}, which this step ended; remove it there"
            )

    def _require_joint_end(self, terminated: Team, truncated: Team, remaining: Team) -> None:
        """Without `dying`, all agents end in the same step and in the same way."""
        if self.dying:
            return
        if remaining:
            gone = name_list(agent.name for _, agent in terminated + truncated)
            others = name_list(agent.name for _, agent in remaining)
            raise ProtocolError(
                f"the episode ended for {gone} and goes on for {others}; dying=true says that "
                "agents can die"
            )
        if terminated and truncated:
            first = name_list(agent.name for _, agent in terminated)
            others = name_list(agent.name for _, agent in truncated)
            raise ProtocolError(
                f"the episode is terminated for {first} and truncated for {others}; dying=true "
                "keeps them apart"
            )

    # ------------------------------------------------------------------ ends
    def _write_rewards(self, rewards: Values) -> None:
        row = self.arrays["reward"][self.row]
        for i, agent in self.living:
            name = agent.name
            if name not in rewards:
                raise ProtocolError(f"there is no reward of {name}")
            row[i] = number(rewards[name], "reward", name)

    def _outcomes(self, terminations: Values, truncations: Values) -> tuple[Team, Team, Team]:
        """The (terminated, only truncated, remaining) agents."""
        terminated: Team = []
        truncated: Team = []
        remaining: Team = []
        for place in self.living:
            name = place[1].name
            if name not in terminations:
                raise ProtocolError(f"there is no termination of {name}")
            if name not in truncations:
                raise ProtocolError(f"there is no truncation of {name}")
            is_truncated = flag(truncations[name], "truncation", name)
            if flag(terminations[name], "termination", name):
                terminated.append(place)
            elif is_truncated:
                truncated.append(place)
            else:
                remaining.append(place)
        return terminated, truncated, remaining

    def _end(self, terminated: Team, truncated: Team, remaining: Team) -> None:
        """Record the end of some agents, and of the episode if none remains."""
        self.any_truncated |= bool(truncated)
        self.living = remaining
        for i, agent in terminated:
            self.arrays["alive"][self.row, i] = False
            self._clear(i, agent)
        if remaining:
            self.leaving = truncated
            for i, _ in truncated:
                self.arrays["alive"][self.row, i] = False
        else:
            self.arrays["terminated"][self.row] = not self.any_truncated
            self.arrays["truncated"][self.row] = self.any_truncated

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
