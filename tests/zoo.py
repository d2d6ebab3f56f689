"""A PettingZoo environment for the tests, with faults on request.

Worker processes import this file. It imports no torch, so that they start quickly.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from gymnasium import spaces
from pettingzoo import AECEnv, ParallelEnv

AGENTS = ("ann", "bob", "cat")


class Line(ParallelEnv):
    """Ann, Bob and Cat move on a line.

    They observe 1, 2 and 3 numbers: [place, step, −1] up to that size. They have 2, 3 and 4
    actions, numbered from 0, 1 and 2; an action moves its agent by its number. An agent's place at
    the start is random, and its reward is its place.

    Args:
        limit: step at which all agents are truncated.
        terminated_at: agent → step at which it is terminated.
        truncated_at: agent → step at which it alone is truncated.
        mask_in: "observation" or "info", where action masks are; None has none. A mask forbids
            the first action after an odd number of steps.
        with_state: infos have a state, [place, step], and Cat's has a third number, 9.
        space: of all observations, instead of boxes; a Discrete one counts steps.
        names: agents of the team, some of Ann, Bob and Cat.
        boxes: actions are 1, 2 and 3 numbers, each from 0 to 1, 2 and 3 in double precision, and
            move their agent by their sum. Those of Bob form a column.
        fault: what goes wrong, see `go_wrong`; "make", "endless start", "two" and "unbounded" do
            from the start, "reset" in the second reset, "close" and "exit in close" at the end.
        fault_step: step at which it goes wrong.
        fault_file: made when something goes wrong; if it exists already, nothing does.
        closing_file: made by `close`.
    """

    metadata: ClassVar = {"name": "line"}

    def __init__(
        self,
        limit=6,
        terminated_at=None,
        truncated_at=None,
        mask_in=None,
        with_state=False,
        space=None,
        names=AGENTS,
        boxes=False,
        fault=None,
        fault_step=2,
        fault_file=None,
        closing_file=None,
    ):
        if fault == "make":
            raise OSError("no licence")
        if fault == "endless start":
            time.sleep(600)
        self.possible_agents = list(names)
        self.sizes = {"ann": 1, "bob": 2, "cat": 3}
        self.max_cycles = limit
        self.terminated_at = terminated_at or {}
        self.truncated_at = truncated_at or {}
        self.mask_in = mask_in
        self.with_state = with_state
        self.space = space
        self.boxes = boxes
        self.fault = fault
        self.fault_step = fault_step
        self.fault_file = Path(fault_file) if fault_file else None
        self.closing_file = Path(closing_file) if closing_file else None
        self.state_space = spaces.Box(-np.inf, np.inf, (len(names),))
        self.rng = np.random.default_rng()
        self.resets = 0
        self.closed = 0

    def observation_space(self, agent):
        size = self.sizes[agent]
        space = self.space or spaces.Box(-np.inf, np.inf, (size,))
        if self.mask_in != "observation":
            return space
        return spaces.Dict({"observation": space, "action_mask": spaces.MultiBinary(size + 1)})

    def action_space(self, agent):
        if self.fault == "unbounded":
            return spaces.Box(-1, np.inf, (2,))
        size = self.sizes[agent]
        if self.boxes:
            shape = (size, 1) if agent == "bob" else (size,)
            return spaces.Box(0, size, shape, np.float64)
        return spaces.Discrete(size + 1, start=size - 1)

    def reset(self, seed=None, options=None):
        self.resets += 1
        if self.fault == "reset" and self.resets > 1:
            raise RuntimeError("the simulator is not ready")
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        present = 2 if self.fault == "two" else None
        self.agents = self.possible_agents[:present]
        places = self.rng.random(len(self.possible_agents)).round(3)
        self.place = dict(zip(self.possible_agents, places, strict=True))
        self.steps = 0
        return self.observe(self.agents)

    def step(self, actions):
        assert set(actions) == set(self.agents), (actions, self.agents)
        assert all(Line.action_space(self, a).contains(x) for a, x in actions.items())
        before = list(self.agents)
        self.steps += 1
        for agent, action in actions.items():
            self.place[agent] += np.sum(action)
        terminated = {a: self.terminated_at.get(a) == self.steps for a in before}
        late = self.steps >= self.max_cycles
        truncated = {a: late or self.truncated_at.get(a) == self.steps for a in before}
        self.agents = [a for a in before if not (terminated[a] or truncated[a])]
        observations, infos = self.observe(before)
        rewards = {a: self.place[a] for a in before}
        if self.is_faulty():
            self.go_wrong(observations, rewards, infos)
        return observations, rewards, terminated, truncated, infos

    def observe(self, agents):
        observations = {}
        infos = {}
        for agent in agents:
            size = self.sizes[agent]
            observation = np.array([self.place[agent], self.steps, -1.0][:size])
            if isinstance(self.space, spaces.Discrete):
                observation = self.space.start + self.steps % self.space.n
            infos[agent] = {}
            if self.with_state:
                extra = [9.0] if agent == "cat" else []
                infos[agent]["state"] = np.array([self.place[agent], self.steps, *extra])
            mask = np.ones(size + 1, np.int8)
            mask[0] = self.steps % 2 == 0
            if self.mask_in == "observation":
                observation = {"observation": observation, "action_mask": mask}
            elif self.mask_in == "info":
                infos[agent]["action_mask"] = mask
            observations[agent] = observation
        return observations, infos

    def state(self):
        return np.array([self.place[a] for a in self.possible_agents])

    def close(self):
        self.closed += 1
        if self.closing_file:
            self.closing_file.touch()
        if self.fault == "close":
            raise RuntimeError("the simulator does not end")
        if self.fault == "exit in close":
            os._exit(5)

    # ------------------------------------------------------------------ faults
    def is_faulty(self):
        if not self.fault or self.steps != self.fault_step:
            return False
        return not (self.fault_file and self.fault_file.exists())

    def go_wrong(self, observations, rewards, infos):
        if self.fault_file:
            self.fault_file.touch()
        match self.fault:
            case "nan":
                rewards["bob"] = float("nan")
            case "infinite":
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
            case "nothing allowed":
                infos["bob"]["action_mask"] = np.zeros(3)
            case "long mask":
                infos["bob"]["action_mask"] = np.zeros(5)
            case "sleep":
                time.sleep(600)
            case "sys.exit":
                sys.exit(4)
            case "raise":
                raise RuntimeError("the simulator says no\nand more")
            case "exit":
                os._exit(3)
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)


# ---------------------------------------------------------------------- tasks by name
ann = Line()
cwd = os.getcwd  # a function of Python's own


def parallel_env(**kwargs):
    return Line(**kwargs)


def sleeper():
    return Line(fault="sleep", fault_step=1)


def turn_based():
    from mpe2 import simple_spread_v3

    return simple_spread_v3.env()


def nothing():
    return object()


class TurnBased(AECEnv):
    """A turn-based environment, which must not be made."""

    def __init__(self):
        raise AssertionError("made")


class Unseeded(Line):
    """An environment of an old PettingZoo."""

    def reset(self):
        return super().reset()
