"""Cost of the traffic environment, on the 5 x 5 grid.

    python benchmarks/traffic.py               an hour of simulated time, about three minutes
    python benchmarks/traffic.py --steps 120   the first ten minutes

1. CPU time of the same episode (that of the published trace `atsc_01_cycle`) in three processes that take turns, ten
   steps each: the bare simulation, which gets the same signal states and reads nothing; `SumoTrafficEnv`; and `Traffic`
   with the fixed cycle as its policy. Rewards must be the trace's.
2. Start-up of an environment on roads that have been read: the first one also starts the template that the others are
   forked from. Resets.
3. Steps/s of two copies against those of one, after twenty minutes of the episode: two simulators that this process
   waits for at pipes, and TorchRL's `ParallelEnv` of two, with its buffers. All three take turns. This needs two free
   cores: the load of the machine is printed, and the CPU time of this process, which leaves less for the simulators.
"""

import argparse
import functools
import multiprocessing
import os
import statistics
import time
from pathlib import Path

import numpy as np
import psutil
import torch
from torchrl.envs import EnvBase, ParallelEnv

from ilvf.envs.pettingzoo.copies import APART
from ilvf.envs.traffic import SumoTrafficEnv, Traffic, read_network
from ilvf.envs.traffic.scenarios.large_grid import PHASES
from ilvf.envs.traffic.simulator.child import templates
from ilvf.envs.traffic.simulator.sumo_process import transition

DATA = Path(__file__).parents[1] / "tests" / "data"
FILES = {
    "routes": [DATA / "large_grid.rou.xml"],
    "additional": [DATA / "large_grid.add.xml"],
    "detectors": True,
}
TURN = 10  # steps


def network():
    phases = {"phases": list(PHASES)}
    return read_network(
        DATA / "large_grid.net.xml.gz", table={"signals": {f"nt{k}": phases for k in range(1, 26)}}
    )


class Bare:
    """The simulation alone, in a process that runs some steps when it is told to."""

    def __init__(self, trace):
        self.pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        plan = (trace["node_ids"].tolist(), trace["actions"].tolist(), int(trace["seed"]))
        self.process = multiprocessing.get_context("spawn").Process(
            target=simulate, args=(theirs, *plan), daemon=True
        )
        self.process.start()
        self.pipe.recv()

    def run(self, steps: int) -> float:
        """CPU seconds of the next steps."""
        self.pipe.send(steps)
        return self.pipe.recv()

    def close(self) -> None:
        self.process.kill()
        self.process.join()


def simulate(pipe, ids, actions, seed) -> None:
    os.environ["LIBSUMO_AS_TRACI"] = "quiet"
    import libsumo

    files = [
        "-n",
        DATA / "large_grid.net.xml.gz",
        "-r",
        FILES["routes"][0],
        "-a",
        FILES["additional"][0],
    ]
    options = ["--seed", seed, "--time-to-teleport", 600, "--no-warnings", "--no-step-log"]
    libsumo.start(["sumo", *map(str, files + options)])
    pipe.send("ready")
    shown, t = [PHASES[0]] * len(ids), 0
    while True:
        steps, started = pipe.recv(), time.process_time()
        for _ in range(steps):
            wanted = [PHASES[a] for a in actions[t]]
            for states, until in ((map(transition, shown, wanted), 5 * t + 2), (wanted, 5 * t + 5)):
                for signal, state in zip(ids, states, strict=True):
                    libsumo.trafficlight.setRedYellowGreenState(signal, state)
                libsumo.simulationStep(until)
            shown, t = wanted, t + 1
        pipe.send(time.process_time() - started)


class Clock:
    """CPU seconds of this process and of the simulators below it."""

    def __init__(self, *pids: int):
        self.children = [psutil.Process(pid) for pid in pids]
        self.lap()

    def lap(self) -> float:
        times = [p.cpu_times() for p in self.children]
        now = time.process_time() + sum(t.user + t.system for t in times)
        before, self.now = getattr(self, "now", now), now
        return now - before


def cost(steps: int) -> None:
    trace = dict(np.load(DATA / "atsc_01_cycle.npz"))
    bare, env = Bare(trace), SumoTrafficEnv(network(), **FILES)
    batch = Traffic(network(), **FILES, num_envs=1, seed=int(trace["seed"]))
    policy, td = batch.rules["fixed_cycle"](), batch.reset()
    env.reset(seed=int(trace["seed"]))
    seconds, rewards = {"bare": 0.0, "SumoTrafficEnv": 0.0, "Traffic": 0.0}, []
    for start in range(0, steps, TURN):
        seconds["bare"] += bare.run(TURN)
        clock = Clock(env.simulation.pid)
        for t in range(start, start + TURN):
            _, reward, *_ = env.step(
                dict(zip(trace["node_ids"], trace["actions"][t].tolist(), strict=True))
            )
            rewards.append(list(reward.values()))
        seconds["SumoTrafficEnv"] += clock.lap()
        clock = Clock(batch.copies.envs[0].simulation.pid)
        for _ in range(TURN):
            td = batch.step_and_maybe_reset(policy(td))[1]
        seconds["Traffic"] += clock.lap()
    assert np.array_equal(rewards, trace["reward"][: len(rewards)])
    print(f"CPU seconds of {steps} steps; all {len(rewards)} x 25 rewards are those of the trace")
    for name, s in seconds.items():
        print(
            f"  {name:<16}{s:8.2f} {s / seconds['bare']:8.3f} x bare {1e3 * s / steps:8.2f} ms a step"
        )
    for thing in (bare, env, batch):
        thing.close()


def starts(times: int = 5) -> None:
    roads = network()
    seconds: dict[str, list[float]] = {
        "first environment, with its reset": [],
        "another one": [],
        "reset": [],
    }
    for _ in range(times):
        for template in templates.values():
            template.end()
        envs = []
        for name in seconds:
            started = time.perf_counter()
            if name != "reset":
                envs.append(SumoTrafficEnv(roads, **FILES))
            envs[-1].reset()
            seconds[name].append(time.perf_counter() - started)
        for env in envs:
            env.close()
    for name, values in seconds.items():
        print(
            f"  {name:<40}{min(values):6.3f} s at best, {statistics.median(values):6.3f} s median of {times}"
        )


def one_copy(number: int) -> Traffic:
    """With the seed that it has among several."""
    return Traffic(network(), **FILES, num_envs=1, seed=APART * number)


def compared() -> dict[str, EnvBase]:
    workers = [functools.partial(one_copy, k) for k in range(2)]
    return {
        "1 copy": one_copy(0),
        "2 copies": Traffic(network(), **FILES, num_envs=2, seed=0),
        "ParallelEnv of 2": ParallelEnv(2, workers, use_buffers=True, mp_start_method="spawn"),
    }


def together(start: int, blocks: int = 8) -> None:
    """They take turns of ten steps; those from step `start` on count."""
    envs = compared()
    policy, now = (
        envs["1 copy"].rules["fixed_cycle"](),
        {name: env.reset() for name, env in envs.items()},
    )
    rates: dict[str, list[float]] = {name: [] for name in envs}
    busy = dict.fromkeys(envs, 0.0)
    for block in range(start // TURN + blocks):
        for name, env in envs.items():
            started, spent = time.perf_counter(), time.process_time()
            for _ in range(TURN):
                now[name] = env.step_and_maybe_reset(policy(now[name]))[1]
            if block >= start // TURN:
                rates[name].append(env.batch_size.numel() * TURN / (time.perf_counter() - started))
                busy[name] += 1e3 * (time.process_time() - spent) / TURN / blocks
    two, parallel = (
        now[name]["episode", "return"].flatten() for name in ("2 copies", "ParallelEnv of 2")
    )
    assert torch.equal(two, parallel)
    for env in envs.values():
        env.close()
    report(rates, busy)


def report(rates: dict[str, list[float]], busy: dict[str, float]) -> None:
    for name, values in rates.items():
        ratio = sorted(x / one for x, one in zip(values, rates["1 copy"], strict=True))
        print(
            f"  {name:<18}{statistics.median(values):6.1f} steps/s, {busy[name]:6.2f} ms CPU here a step;",
            end="",
        )
        print(
            f" ratio {statistics.median(ratio):.2f} ({ratio[0]:.2f} to {ratio[-1]:.2f} in {len(ratio)} turns)"
        )
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()[:2])
    print(
        f"  medians; load of the last minutes {load} on {os.cpu_count()} cores; both pairs of episodes are the same"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=720, help="of 5 s, at most 720")
    steps = parser.parse_args().steps // TURN * TURN
    torch.set_num_threads(1)
    cost(steps)
    print("start-up")
    starts()
    print("side by side")
    together(min(steps, 240))


if __name__ == "__main__":
    main()
