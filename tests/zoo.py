"""PettingZoo environments for the tests, importable by worker processes: without torch, so that those start at once."""

import os
import signal
import time
from pathlib import Path

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

AGENTS = ("ann", "bob", "cat")


class Line(ParallelEnv):
    """Ann, Bob and Cat move on a line; they see 1, 2 and 3 numbers and have 2, 3 and 4 actions, numbered from 0, 1, 2.

    Everybody's place begins in a random place; an action moves it by its number. The reward is the place. Nothing else
    happens unless it is asked for.

    Args:
        limit: everybody is truncated at this step.
        ends: name → step at which the agent is terminated.
        leaves: name → step at which the agent alone is truncated.
        mask: where the mask is, "observation" or "info"; it forbids action 0 after an odd number of steps.
        state: infos have a state, [place, step], and Cat's has a third number.
        space: of everybody's observation; a Discrete one counts steps.
        trouble: what goes wrong in step `when`.
        flag: a file that is made when something goes wrong; if it exists, nothing does.
        will: a file that is made by closing.
    """

    metadata = {"name": "line"}

    def __init__(
        self,
        limit=6,
        ends=None,
        leaves=None,
        mask=None,
        state=False,
        space=None,
        trouble=None,
        when=2,
        flag=None,
        will=None,
    ):
        self.possible_agents, self.sizes = list(AGENTS), dict(zip(AGENTS, (1, 2, 3), strict=True))
        self.max_cycles, self.ends, self.leaves = limit, ends or {}, leaves or {}
        self.mask, self.has_state, self.space = mask, state, space
        self.trouble, self.when, self.flag, self.will = (
            trouble,
            when,
            flag and Path(flag),
            will and Path(will),
        )
        self.rng, self.resets, self.closed = np.random.default_rng(), 0, 0
        self.state_space = spaces.Box(-np.inf, np.inf, (3,))
        if trouble == "make":
            raise OSError("no licence")

    def observation_space(self, agent):
        space = self.space or spaces.Box(-np.inf, np.inf, (self.sizes[agent],))
        if self.mask == "observation":
            return spaces.Dict(
                {"observation": space, "action_mask": spaces.MultiBinary(self.sizes[agent] + 1)}
            )
        return space

    def action_space(self, agent):
        if self.trouble == "continuous":
            return spaces.Box(-1, 1, (2,))
        n = self.sizes[agent]
        return spaces.Discrete(n + 1, start=n - 1)

    def reset(self, seed=None, options=None):
        self.resets += 1
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents = self.possible_agents[: 2 if self.trouble == "two" else 3]
        self.place, self.steps = (
            dict(zip(self.possible_agents, self.rng.random(3).round(3), strict=True)),
            0,
        )
        return self.look(self.agents)

    def step(self, actions):
        assert set(actions) == set(self.agents), (actions, self.agents)
        assert all(self.action_space(a).contains(x) for a, x in actions.items())
        before, self.steps = list(self.agents), self.steps + 1
        for a, x in actions.items():
            self.place[a] += x
        late = self.steps >= self.max_cycles
        terminated = {a: self.ends.get(a) == self.steps for a in before}
        truncated = {a: late or self.leaves.get(a) == self.steps for a in before}
        self.agents = [a for a in before if not (terminated[a] or truncated[a])]
        observations, infos = self.look(before)
        rewards = {a: self.place[a] for a in before}
        if self.trouble and self.steps == self.when and not (self.flag and self.flag.exists()):
            self.go_wrong(observations, rewards, infos)
        return observations, rewards, terminated, truncated, infos

    def go_wrong(self, observations, rewards, infos):
        if self.flag:
            self.flag.touch()
        match self.trouble:
            case "nan":
                rewards["bob"] = float("nan")
            case "blind":
                observations["bob"] = np.array([np.inf, 0.0])
            case "newcomer":
                self.agents.append("dan")
            case "deserter":
                self.agents.remove("bob")
            case "unseen":
                del observations["bob"]
            case "unpaid":
                del rewards["bob"]
            case "wide":
                observations["bob"] = np.zeros(7)
            case "nothing":
                infos["bob"]["action_mask"] = np.zeros(3)
            case "sleep":
                time.sleep(60)
            case "raise":
                raise RuntimeError("the simulator says no\nand more")
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)

    def look(self, agents):
        observations, infos = {}, {}
        for a in agents:
            n = self.sizes[a]
            observations[a] = np.array([self.place[a], self.steps, -1.0][:n])
            if isinstance(self.space, spaces.Discrete):
                observations[a] = self.space.start + self.steps % self.space.n
            infos[a] = (
                {"state": np.array([self.place[a], self.steps, 9.0][: 2 + (a == "cat")])}
                if self.has_state
                else {}
            )
            allowed = np.ones(n + 1, np.int8)
            allowed[0] = self.steps % 2 == 0
            if self.mask == "observation":
                observations[a] = {"observation": observations[a], "action_mask": allowed}
            elif self.mask == "info":
                infos[a]["action_mask"] = allowed
        return observations, infos

    def state(self):
        return np.array([self.place[a] for a in self.possible_agents])

    def close(self):
        self.closed += 1
        if self.will:
            self.will.touch()


def sleeper():
    return Line(trouble="sleep", when=1)


def parallel_env(**kwargs):
    return Line(**kwargs)


def turn_based():
    from mpe2 import simple_spread_v3

    return simple_spread_v3.env()


def nothing():
    return object()
