"""One PettingZoo environment of a batch: who is still in its episode, and its row of the arrays.

Imports no torch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from pettingzoo import ParallelEnv

from ilvf.envs.pettingzoo.arrays import Arrays, ProtocolError, clear_agent, write_agent
from ilvf.envs.pettingzoo.layout import Agent, Layout, name_list
from ilvf.errors import UsageError

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
        self.arrays = arrays
        self.row = row
        self.number = number
        self.dying = dying
        self.steps = 0  # of all episodes
        self.team: Team = list(enumerate(layout.agents))
        self.living: Team = self.team  # agents that are still in this episode
        self.any_truncated = False  # some agent of this episode was truncated

    def begin(self, observations: Mapping[str, Any], infos: Mapping[str, Any]) -> None:
        """Start an episode with what the environment's `reset` returned."""
        present = set(self.env.agents)
        expected = {agent.name for _, agent in self.team}
        if present != expected:
            self._refuse(
                f"has the agents {name_list(present)} after reset, need all of possible_agents, "
                f"{name_list(expected)}"
            )
        self.living = self.team
        self.any_truncated = False
        self.arrays["alive"][self.row] = True
        self.arrays["reward"][self.row] = 0
        self.arrays["terminated"][self.row] = False
        self.arrays["truncated"][self.row] = False
        self._write(self.team, observations, infos)
        self._write_extras()

    def actions(self, chosen: Sequence[int]) -> dict[str, int]:
        """The environment's actions of the living agents, from indices counted from 0 `[N]`."""
        return {agent.name: agent.start + chosen[i] for i, agent in self.living}

    def step(self, actions: Mapping[str, int]) -> None:
        """One step. Nothing happens after the end of an episode."""
        self.steps += 1
        self.arrays["reward"][self.row] = 0
        if not self.living:
            return
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        terminated, truncated, remaining = self._outcomes(rewards, terminations, truncations)
        self._require_expected_agents(remaining)
        observing = self.living
        if terminated or truncated:
            # At the end of the episode truncated agents still count as alive: the value of their
            # last observation is bootstrapped.
            observing = remaining or truncated
            gone = terminated + truncated if remaining else terminated
            self._end(gone, remaining, bool(truncated))
            self._write_last(gone, observations, infos)
        self._write(observing, observations, infos)
        self._write_extras()

    # ------------------------------------------------------------------ ends
    def _outcomes(
        self, rewards: Mapping, terminations: Mapping, truncations: Mapping
    ) -> tuple[Team, Team, Team]:
        """Write the rewards; return the (terminated, only truncated, remaining) agents."""
        terminated: Team = []
        truncated: Team = []
        remaining: Team = []
        row = self.arrays["reward"][self.row]
        for i, agent in self.living:
            name = agent.name
            try:
                row[i] = rewards[name]
                if terminations[name]:
                    terminated.append((i, agent))
                elif truncations[name]:
                    truncated.append((i, agent))
                else:
                    remaining.append((i, agent))
            except KeyError:
                self._refuse(
                    f"gave no reward, termination or truncation of {name} in step {self.steps}"
                )
        return terminated, truncated, remaining

    def _require_expected_agents(self, remaining: Team) -> None:
        """No agent may appear, and none may leave without being terminated or truncated."""
        present = self.env.agents
        expected = [agent.name for _, agent in remaining]
        if list(present) == expected:
            return
        new = set(present) - {agent.name for _, agent in self.living}
        if new:
            self._refuse(
                f"has the agents {name_list(new)} after step {self.steps}, which were not there "
                "before"
            )
        left = set(expected) - set(present)
        if left:
            self._refuse(
                f"lost {name_list(left)} in step {self.steps} without their termination or "
                "truncation"
            )

    def _end(self, gone: Team, remaining: Team, any_truncated: bool) -> None:
        """Record the end of some agents, and of the episode if none remains."""
        if remaining and not self.dying:
            self._refuse(
                f"ended for {name_list(agent.name for _, agent in gone)} in step {self.steps} and "
                f"goes on for {name_list(agent.name for _, agent in remaining)}; dying=true says "
                "that agents can die"
            )
        self.any_truncated |= any_truncated
        self.living = remaining
        for i, _ in gone:
            self.arrays["alive"][self.row, i] = False
        if not remaining:
            self.arrays["terminated"][self.row] = not self.any_truncated
            self.arrays["truncated"][self.row] = self.any_truncated

    # ------------------------------------------------------------------ arrays
    def _write(
        self, agents: Team, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> None:
        """Write what these agents observe."""
        for i, agent in agents:
            try:
                write_agent(self.arrays, (self.row, i), agent, observations, infos)
            except ProtocolError as error:
                self._refuse(f"{error} in step {self.steps}")

    def _write_last(
        self, gone: Team, observations: Mapping[str, Any], infos: Mapping[str, Any]
    ) -> None:
        """Write agents that ended: dead agents are cleared, others show how the episode ended."""
        for i, agent in gone:
            if not self.dying and agent.name in observations and agent.name in infos:
                self._write([(i, agent)], observations, infos)
            else:
                clear_agent(self.arrays, (self.row, i), agent)

    def _write_extras(self) -> None:
        """Write the global state and the episode's statistics, if they are wanted."""
        if "global_state" in self.arrays:
            self.arrays["global_state"][self.row] = np.ravel(self.env.state())
        if "statistics" in self.arrays:
            self.arrays["statistics"][self.row] = list(self.env.episode_statistics().values())

    def _refuse(self, problem: str) -> NoReturn:
        raise UsageError(f"{self.env} (copy {self.number}) {problem}")
