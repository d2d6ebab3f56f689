"""A Gymnasium environment of a team for the tests, with faults on request.

Worker processes import this file. It imports no torch, so that they start quickly.
"""

import gymnasium
import numpy as np
from gymnasium import spaces


class Steps(gymnasium.Env):
    """Two agents count steps; agent i observes i + 1 numbers, and is paid its action.

    Args:
        ends_at: step at which the team's task ends.
        limit: step at which the environment says that it has ended, as a time limit.
        fault: "one reward", "three observations", "four results", "one agent" (whose episode ends)
            or "raise" in the second step;
            "one space" or "three spaces" from the start.
        bound: largest action, if actions are continuous.
        counts: choices of every component, if actions are several choices.
        per_agent: flags are lists, or with "array" arrays.
    """

    def __init__(self, ends_at=None, limit=6, fault=None, per_agent=False, bound=None, counts=None):
        self.ends_at = ends_at
        self.max_steps = limit
        self.fault = fault
        self.per_agent = per_agent
        action = spaces.Discrete(3) if bound is None else spaces.Box(0, float(bound), (1,))
        if counts is not None:
            action = spaces.MultiDiscrete(counts)
        actions = 3 if fault == "three spaces" else 2
        self.action_space = spaces.Tuple([action] * actions)
        if fault == "one space":
            self.action_space = action
        sizes = (1, 2)
        self.observation_space = spaces.Tuple([spaces.Box(0, 99, (n,)) for n in sizes])

    def observations(self):
        step = float(self.steps)
        return (np.full(1, step, np.float32), np.array([step, self.start], np.float32))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps = 0
        self.start = self.np_random.integers(50)
        return self.observations(), {}

    def step(self, action):
        self.steps += 1
        faulty = self.fault if self.steps == 2 else None
        if faulty == "raise":
            raise RuntimeError("no shelf")
        rewards = [float(np.sum(a)) for a in action]
        ended = self.steps in (self.ends_at, self.max_steps)
        stopped = False
        if self.per_agent:
            ended = [ended, ended]
            stopped = [stopped, stopped]
        if faulty == "one agent":
            ended = [True, False]
        if self.per_agent == "array":
            ended, stopped = np.array(ended), np.array(stopped)
        seen = self.observations()
        if faulty == "three observations":
            seen = (*seen, seen[0])
        if faulty == "four results":
            return seen, rewards, ended, {}
        return seen, sum(rewards) if faulty == "one reward" else rewards, ended, stopped, {}


gymnasium.register("Steps-v0", entry_point="team_gym:Steps")
gymnasium.register("Limited-v0", entry_point="team_gym:Steps", max_episode_steps=4)
