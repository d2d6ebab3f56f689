"""What both sides share: tasks, hyper-parameters, evaluation, files. Needs torch, TorchRL and the environments.

A run is a csv of its evaluations, `frames, return, cpu_s`. The return is the team's: Σ_t Σ_i r_i of an episode, with
the most likely actions, mean over `EPISODES` episodes whose starts depend only on the seed: both sides play the same.
"""

import argparse
import csv
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import ExplorationType, set_exploration_type

OUT = Path(__file__).parents[2] / "runs" / "against_benchmarl"
EPISODES = 64  # of an evaluation
EVALUATION_SEED = 10_000_019  # added to a run's seed
COLUMNS = ("frames", "return", "cpu_s")

Act = Callable[[Tensor], Tensor]  # observation [B, N, Do] → actions [B, N]


@dataclass(frozen=True)
class Task:
    """An environment: arguments of its constructor, length of its episodes, choices of every agent."""

    world: dict[str, Any]
    horizon: int
    n_actions: int
    num_envs: int  # of training
    rollout_steps: int  # of each of them per iteration


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of both sides.

    `clip` to `max_grad_norm` are BenchMARL's defaults, which also shares one policy network among all agents. The
    learning rate is the best of the few tried, with BenchMARL only; see docs/results/benchmarl.md.
    """

    lr: float = 1e-3
    gamma: float = 0.99
    clip: float = 0.2
    entropy: float = 0.0
    lmbda: float = 0.9
    adam_eps: float = 1e-6
    max_grad_norm: float = 5.0
    epochs: int = 10
    minibatches: int = 4
    hidden: int = 64
    depth: int = 2
    activation: str = "tanh"
    iterations: int = 80
    eval_every: int = 4  # iterations


TASKS = {
    # local_ratio=0: all of the reward is the team's, so that both sides optimise the same
    "simple_spread": Task(
        dict(N=3, local_ratio=0.0, max_cycles=25), 25, 5, num_envs=100, rollout_steps=25
    ),
    "balance": Task(dict(n_agents=3, max_steps=100), 100, 9, num_envs=120, rollout_steps=50),
}


# ---------------------------------------------------------------------- evaluation
class Evaluation:
    """The evaluation episodes of a seed; calling it plays them and gives the return of each.

    Drives the environments itself, without TorchRL's wrappers: one ruler for both sides.
    """

    def __init__(self, task: str, seed: int, episodes: int = EPISODES):
        self.name, self.task, self.seed, self.episodes = (
            task,
            TASKS[task],
            EVALUATION_SEED + 1000 * seed,
            episodes,
        )
        self.play = self._mpe if task == "simple_spread" else self._vmas

    @torch.no_grad()
    def __call__(self, act: Act) -> list[float]:
        with torch.random.fork_rng():
            return self.play(act).tolist()

    def _mpe(self, act: Act) -> Tensor:
        from mpe2 import simple_spread_v3

        worlds = [simple_spread_v3.parallel_env(**self.task.world) for _ in range(self.episodes)]
        seen = [world.reset(seed=self.seed + k)[0] for k, world in enumerate(worlds)]
        names, total = worlds[0].possible_agents, torch.zeros(self.episodes)
        for _ in range(self.task.horizon):  # the only end of an episode
            actions = act(
                torch.stack(
                    [torch.stack([torch.as_tensor(o[a]) for a in names]) for o in seen]
                ).float()
            )
            steps = [
                w.step(dict(zip(names, a, strict=True)))
                for w, a in zip(worlds, actions.tolist(), strict=True)
            ]
            seen = [step[0] for step in steps]
            total += torch.tensor([sum(step[1].values()) for step in steps])
        return total

    def _vmas(self, act: Act) -> Tensor:
        import vmas
        from vmas.simulator.environment import Environment

        kept = list(
            Environment.vmas_random_state
        )  # all VMAS environments of a process share it, training's too
        options: dict[str, Any] = dict(continuous_actions=False, device="cpu", seed=self.seed)
        world = vmas.make_env(self.name, num_envs=self.episodes, **options, **self.task.world)
        seen, total, running = (
            world.reset(),
            torch.zeros(self.episodes),
            torch.ones(self.episodes, dtype=torch.bool),
        )
        for _ in range(self.task.horizon):
            seen, rewards, done, _ = world.step(
                list(act(torch.stack(seen, 1)).unsqueeze(-1).unbind(1))
            )
            total += torch.stack(rewards).sum(0) * running
            running &= ~done
        Environment.vmas_random_state[:] = kept
        return total


def greedy(policy: Callable[[TensorDict], TensorDict]) -> Act:
    """The most likely actions of a TorchRL policy."""

    def act(observation: Tensor) -> Tensor:
        agents = TensorDict({"observation": observation}, observation.shape[:2])
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            return policy(TensorDict({"agents": agents}, observation.shape[:1]))["agents", "action"]

    return act


def uniform(task: str) -> Act:
    return lambda observation: torch.randint(TASKS[task].n_actions, observation.shape[:-1])


def random_returns(env: EnvBase, horizon: int) -> list[float]:
    """Team returns of the first episode of every environment of a side, with random actions."""
    rollout = env.rollout(horizon, break_when_any_done=False)
    done = rollout["next", "done"].squeeze(-1)
    first = (done.cumsum(1) - done.int()) == 0
    return (rollout["next", "agents", "reward"].sum((-1, -2)) * first).sum(1).tolist()


class Record:
    """The evaluations of one run; its clock, CPU seconds of this process, stands still while it evaluates."""

    def __init__(self, task: str, seed: int, s: Settings, episodes: int = EPISODES):
        self.evaluation, self.s = Evaluation(task, seed, episodes), s
        self.batch = TASKS[task].num_envs * TASKS[task].rollout_steps
        self.rows: list[tuple[float, ...]] = []
        self.cpu_s, self._started = 0.0, 0.0

    def after(self, iteration: int, policy: Callable[[TensorDict], TensorDict]) -> None:
        """Call it at the start, with 0, and after every iteration."""
        if iteration:
            self.cpu_s += time.process_time() - self._started
        if iteration % self.s.eval_every == 0 or iteration == self.s.iterations:
            returns = self.evaluation(greedy(policy))
            self.rows.append((iteration * self.batch, sum(returns) / len(returns), self.cpu_s))
            print(
                "{:9d} frames   return {:8.2f}   {:6.1f} CPU-s".format(*self.rows[-1]), flush=True
            )
        self._started = time.process_time()


# ---------------------------------------------------------------------- runs
def csv_of(out: Path, task: str, side: str, seed: int) -> Path:
    return out / f"{task}.{side}.{seed}.csv"


def write_csv(path: Path, rows: list[tuple[float, ...]]) -> None:
    """At once: a csv that is there is a finished run."""
    part = path.with_suffix(".part")
    with part.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    part.replace(path)


def command_line(
    doc: str, run: Callable[..., list], sides: tuple[str, ...], make_env: Callable[..., EnvBase]
) -> None:
    """Run what is missing: `run(task, seed, side)` gives a csv's rows, `make_env(task, B, seed)` environments."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for task in args.tasks:
        path = args.out / f"{task}.{sides[0]}.random.json"
        if not path.exists():
            path.write_text(json.dumps(random_returns(make_env(task, 500, 0), TASKS[task].horizon)))
        for seed in args.seeds:
            for side in sides:
                path = csv_of(args.out, task, side, seed)
                print(path.name, "is there" if path.exists() else "", flush=True)
                if not path.exists():
                    write_csv(path, run(task, seed, side))
