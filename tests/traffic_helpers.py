"""Shared by the tests of traffic: episodes, processes of simulators, runs of algorithms."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic import Network, Signal, SumoTrafficEnv
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.child import templates

CHECKS = 6000  # of whether a process has ended, before a test gives it up
PAUSE = 0.01  # [s] between them

Record = tuple[np.ndarray, np.ndarray, np.ndarray]  # states, observations, rewards


# ---------------------------------------------------------------------- a network by hand
def two_signals(detectors: bool = True, **options: Any) -> Senses:
    """The senses of two signals.

    a has the lanes p (links to x and to q) and q2 (a link to x), b has the lane q (a link to y).
    """
    a = Signal("a", ("GGr", "rrG"), ("p", "p", "q2"), ("x", "q", "x"), (0.0, 0.0), (0, 1, 2))
    b = Signal("b", ("G",), ("q",), ("y",), (100.0, 0.0), (0,))
    network = Network(
        Path("two.net.xml"),
        (a, b),
        neighbour_lists=((1,), (0,)),
        distance=np.array([[0.0, 100.0], [100.0, 0.0]]),
        lane_lengths={"p": 75.0, "q2": 15.0, "q": 30.0, "x": 150.0, "y": 7.5, "p0": 75.0},
        extensions={"p": ("p0",), "q2": (), "q": ()},
        notes=(),
    )
    return Senses(network, SignalOptions(**options), detectors=detectors)


# ---------------------------------------------------------------------- episodes
def by_time_and_signal(t: int, i: int) -> int:
    """An action that changes with the step and differs between signals."""
    return t + i


def play(
    env: SumoTrafficEnv,
    steps: int,
    action: Callable[[int, int], int] = by_time_and_signal,
    **seed: int,
) -> list[Record]:
    """Reset and take at most `steps` steps.

    Args:
        env: the environment.
        steps: steps to take, unless the episode ends before.
        action: (step, number of the signal) → action, modulo the signal's number of phases.
        **seed: of the reset, if any.

    Returns:
        The record of the reset, with rewards 0, then those of the steps.
    """
    observations, infos = env.reset(**seed)
    return [record(observations, infos), *play_on(env, steps, action)]


def play_on(
    env: SumoTrafficEnv, steps: int, action: Callable[[int, int], int] = by_time_and_signal
) -> list[Record]:
    """As `play`, without a reset."""
    records = []
    for t in range(steps):
        chosen = {}
        for i, agent in enumerate(env.agents):
            chosen[agent] = action(t, i) % int(env.action_space(agent).n)
        observations, rewards, _, _, infos = env.step(chosen)
        records.append(record(observations, infos, rewards))
        if not env.agents:
            break
    return records


def record(observations: dict, infos: dict, rewards: dict | None = None) -> Record:
    paid = list(rewards.values()) if rewards is not None else [0.0] * len(observations)
    return states_of(infos), np.concatenate(list(observations.values())), np.array(paid)


def states_of(infos: dict[str, dict[str, Any]]) -> np.ndarray:
    """The states of all signals one after the other."""
    return np.concatenate([info["state"] for info in infos.values()])


def same(a: Sequence[Record], b: Sequence[Record]) -> bool:
    """Whether two records are equal, number by number."""
    if len(a) != len(b):
        return False
    pairs = [(x, y) for p, q in zip(a, b, strict=True) for x, y in zip(p, q, strict=True)]
    return all(np.array_equal(x, y) for x, y in pairs)


# ---------------------------------------------------------------------- processes
def simulators(besides: Sequence[psutil.Process] = ()) -> list[psutil.Process]:
    """The processes of simulators below this one, zombies included, without its templates.

    Args:
        besides: processes that do not count, such as those that a failed test has left.
    """
    known = [template.process.pid for template in templates.values()]
    known += [process.pid for process in besides]
    found = []
    for process in psutil.Process().children(recursive=True):
        if process.pid in known:
            continue
        if has_ended(process) or any("sumo" in word for word in process.cmdline()):
            found.append(process)
    return found


def child_of(env: SumoTrafficEnv) -> psutil.Process:
    """The process of an environment's simulation."""
    return psutil.Process(env.simulation.pid)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process has ended, even if its parent has not looked at its exit code."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_soon(*processes: psutil.Process) -> bool:
    """Wait for processes to end; False if one of them does not."""
    for _ in range(CHECKS):
        if all(has_ended(process) for process in processes):
            return True
        time.sleep(PAUSE)
    return False


# ---------------------------------------------------------------------- runs
OTHERS = ("env.", "algorithm.num_envs=", "algorithm.eval_episodes=")
SMALL = (  # rollouts of two copies and ten steps; an episode of the town has ten steps
    *(argument for argument in TINY if not argument.startswith(OTHERS)),
    "algorithm.num_envs=2",
    "algorithm.eval_episodes=2",
)


def rows_of(out: Path) -> list[dict[str, Any]]:
    """The metrics of the only run in a folder, one row per iteration."""
    (file,) = out.glob("*/metrics.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def checkpoint_of(out: Path, name: str = "last") -> dict[str, Any]:
    """A checkpoint of the only run in a folder."""
    (file,) = out.glob(f"*/checkpoints/{name}.ckpt")
    return torch.load(file, weights_only=True)


def mlflow_runs(out: Path) -> list[tuple[str, list[int]]]:
    """Status of every run in the store of a folder, and the frames after its iterations."""
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("sumo").experiment_id])
    return [(run.info.status, frames_of(client, run)) for run in found]


def frames_of(client: MlflowClient, run: Any) -> list[int]:
    return [metric.step for metric in client.get_metric_history(run.info.run_id, "frames")]
