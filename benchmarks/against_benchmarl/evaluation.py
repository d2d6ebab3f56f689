"""Evaluation episodes that are the same for both libraries.

The return is the team's: Σ_t Σ_i r_i of an episode. A score is its mean over episodes whose starts
depend on the seed only, with the most likely actions.
"""

from collections.abc import Callable
from typing import Any

import torch
from tasks import TASKS
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

EPISODES = 64  # of an evaluation
EVALUATION_SEED = 10_000_019  # added to a run's seed

Act = Callable[[Tensor], Tensor]  # observation [B, N, Do] → actions [B, N]
Policy = Callable[[TensorDict], TensorDict]


class Evaluation:
    """The evaluation episodes of a seed; a call plays them and returns the return of each.

    It steps the environments itself, without TorchRL's wrappers, so that both libraries are
    measured alike.
    """

    def __init__(self, task: str, seed: int, episodes: int = EPISODES):
        self.name = task
        self.task = TASKS[task]
        self.seed = EVALUATION_SEED + 1000 * seed
        self.episodes = episodes

    @torch.no_grad()
    def __call__(self, act: Act) -> list[float]:
        play = self.play_mpe if self.name == "simple_spread" else self.play_vmas
        with torch.random.fork_rng():
            return play(act).tolist()

    def play_mpe(self, act: Act) -> Tensor:
        """Returns `[B]` of episodes in mpe2, which all end at the horizon."""
        from mpe2 import simple_spread_v3

        worlds = [simple_spread_v3.parallel_env(**self.task.world) for _ in range(self.episodes)]
        seen = [world.reset(seed=self.seed + k)[0] for k, world in enumerate(worlds)]
        names = worlds[0].possible_agents
        total = torch.zeros(self.episodes)
        for _ in range(self.task.horizon):
            actions = act(stacked(seen, names)).tolist()
            seen = []
            for k, (world, chosen) in enumerate(zip(worlds, actions, strict=True)):
                observation, reward, *_ = world.step(dict(zip(names, chosen, strict=True)))
                seen.append(observation)
                total[k] += sum(reward.values())
        return total

    def play_vmas(self, act: Act) -> Tensor:
        """Returns `[B]` of the first episodes in VMAS."""
        import vmas
        from vmas.simulator.environment import Environment

        # All VMAS environments of a process share this state, those of the training too.
        kept = list(Environment.vmas_random_state)
        options: dict[str, Any] = {"continuous_actions": False, "device": "cpu", "seed": self.seed}
        world = vmas.make_env(self.name, num_envs=self.episodes, **options, **self.task.world)
        seen = world.reset()
        total = torch.zeros(self.episodes)
        running = torch.ones(self.episodes, dtype=torch.bool)
        for _ in range(self.task.horizon):
            actions = act(torch.stack(seen, 1)).unsqueeze(-1)
            seen, rewards, done, _ = world.step(list(actions.unbind(1)))
            total += torch.stack(rewards).sum(0) * running
            running &= ~done
        Environment.vmas_random_state[:] = kept
        return total


def stacked(seen: list[dict[str, Any]], names: list[str]) -> Tensor:
    """Observations `[B, N, Do]` from a dict for each environment."""
    rows = []
    for observation in seen:
        rows.append(torch.stack([torch.as_tensor(observation[name]) for name in names]))
    return torch.stack(rows).float()


def greedy(policy: Policy) -> Act:
    """The most likely actions of a TorchRL policy."""

    def act(observation: Tensor) -> Tensor:
        agents = TensorDict({"observation": observation}, observation.shape[:2])
        td = TensorDict({"agents": agents}, observation.shape[:1])
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            return policy(td)["agents", "action"]

    return act


def uniform(task: str) -> Act:
    """Random actions."""
    return lambda observation: torch.randint(TASKS[task].n_actions, observation.shape[:-1])


def random_returns(env: EnvBase, horizon: int) -> list[float]:
    """Returns of the first episodes of an environment with random actions."""
    rollout = env.rollout(horizon, break_when_any_done=False)
    done = rollout["next", "done"].squeeze(-1)
    first = (done.cumsum(1) - done.int()) == 0
    reward = rollout["next", "agents", "reward"].sum((-1, -2))
    return (reward * first).sum(1).tolist()
