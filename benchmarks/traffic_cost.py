"""CPU time of one traffic episode: the bare simulation, `SumoTrafficEnv`, and `Traffic`."""

import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil

from ilvf.envs.traffic import SumoTrafficEnv, Traffic
from ilvf.envs.traffic.scenarios.large_grid import PHASES
from ilvf.envs.traffic.simulator.sumo_process import transition
from traffic_setup import FILES, NET_FILE, TRACE, TURN, network

STEP = 5  # seconds of simulated time
YELLOW = 2  # of them, for the transition between phases


def cost(steps: int) -> None:
    """Print the CPU seconds of `steps` steps of the traced episode.

    The three variants take turns of `TURN` steps, each in processes of its own.
    """
    trace = dict(np.load(TRACE))
    variants = {
        "bare": BareSimulation(trace),
        "SumoTrafficEnv": SingleEnvironment(trace),
        "Traffic": BatchedEnvironment(trace),
    }
    seconds = dict.fromkeys(variants, 0.0)
    for start in range(0, steps, TURN):
        for name, variant in variants.items():
            seconds[name] += variant.run(start)
    rewards = variants["SumoTrafficEnv"].rewards
    assert np.array_equal(rewards, trace["reward"][: len(rewards)])
    print(f"CPU seconds of {steps} steps; all {len(rewards)} x 25 rewards are those of the trace")
    for name, spent in seconds.items():
        ratio = spent / seconds["bare"]
        ms = 1e3 * spent / steps
        print(f"  {name:<16}{spent:8.2f} {ratio:8.3f} x bare {ms:8.2f} ms a step")
    for variant in variants.values():
        variant.close()


# ---------------------------------------------------------------------- the variants
class BareSimulation:
    """SUMO alone in a process: it sets the traced signal states and reads nothing."""

    def __init__(self, trace: Mapping[str, Any]):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        ids = trace["node_ids"].tolist()
        arguments = (theirs, ids, trace["actions"].tolist(), int(trace["seed"]))
        self.process = context.Process(target=simulate, args=arguments, daemon=True)
        self.process.start()
        self.pipe.recv()

    def run(self, start: int) -> float:
        """CPU seconds of the next `TURN` steps."""
        self.pipe.send(TURN)
        return self.pipe.recv()

    def close(self) -> None:
        self.process.kill()
        self.process.join()


def simulate(
    pipe: Connection, ids: Sequence[str], actions: Sequence[Sequence[int]], seed: int
) -> None:
    """Run as many steps as the pipe says, and answer with their CPU seconds."""
    os.environ["LIBSUMO_AS_TRACI"] = "quiet"
    import libsumo

    files = ["-n", NET_FILE, "-r", FILES["routes"][0], "-a", FILES["additional"][0]]
    options = ["--seed", seed, "--time-to-teleport", 600, "--no-warnings", "--no-step-log"]
    libsumo.start(["sumo", *map(str, files + options)])
    pipe.send("ready")
    shown = [PHASES[0]] * len(ids)
    t = 0
    while True:
        steps = pipe.recv()
        started = time.process_time()
        for _ in range(steps):
            wanted = [PHASES[action] for action in actions[t]]
            set_signals(libsumo, ids, list(map(transition, shown, wanted)))
            libsumo.simulationStep(STEP * t + YELLOW)
            set_signals(libsumo, ids, wanted)
            libsumo.simulationStep(STEP * (t + 1))
            shown = wanted
            t += 1
        pipe.send(time.process_time() - started)


def set_signals(libsumo: Any, ids: Sequence[str], states: Sequence[str]) -> None:
    for signal, state in zip(ids, states, strict=True):
        libsumo.trafficlight.setRedYellowGreenState(signal, state)


class SingleEnvironment:
    """`SumoTrafficEnv` with the traced actions; keeps the rewards."""

    def __init__(self, trace: Mapping[str, Any]):
        self.trace = trace
        self.rewards: list[list[float]] = []
        self.env = SumoTrafficEnv(network(), **FILES)
        self.env.reset(seed=int(trace["seed"]))

    def run(self, start: int) -> float:
        """CPU seconds of the steps from `start` on."""
        clock = Clock(self.env.simulation.pid)
        for t in range(start, start + TURN):
            chosen = self.trace["actions"][t].tolist()
            actions = dict(zip(self.trace["node_ids"], chosen, strict=True))
            _, reward, *_ = self.env.step(actions)
            self.rewards.append(list(reward.values()))
        return clock.elapsed()

    def close(self) -> None:
        self.env.close()


class BatchedEnvironment:
    """`Traffic` with one copy, and the fixed cycle as its policy."""

    def __init__(self, trace: Mapping[str, Any]):
        self.env = Traffic(network(), **FILES, num_envs=1, seed=int(trace["seed"]))
        self.policy = self.env.rules["fixed_cycle"]()
        self.td = self.env.reset()

    def run(self, start: int) -> float:
        """CPU seconds of the next `TURN` steps."""
        clock = Clock(self.env.copies.envs[0].simulation.pid)
        for _ in range(TURN):
            self.td = self.env.step_and_maybe_reset(self.policy(self.td))[1]
        return clock.elapsed()

    def close(self) -> None:
        self.env.close()


class Clock:
    """CPU seconds of this process and of one simulator, from the clock's creation on."""

    def __init__(self, simulator: int):
        self.simulator = psutil.Process(simulator)
        self.started = self.total()

    def total(self) -> float:
        times = self.simulator.cpu_times()
        return time.process_time() + times.user + times.system

    def elapsed(self) -> float:
        return self.total() - self.started
