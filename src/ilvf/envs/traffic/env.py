"""Adaptive traffic signal control: every signal of a road network is an agent, the roads are SUMO's.

N signals see the vehicles that wait at their junction, and choose every 5 s which of them may go.

**Actions**: the green phases of the signal, as many as it has.

**Step** (`control_interval`, 5 s): 2 s of transition (`yellow`), in which links that lose green are yellow and those
that gain it stay red; then the chosen phase. A signal that closes no link shows its phase at once. Before the first
step every signal counts as showing phase 0.

**Wave** of a lane: how full the end of it is.

| `detectors` | | |
|---|---|---|
| true | vehicles on the lane's detector / 5, at most 2 | lane-area detectors, which have their lane's id |
| false (default) | vehicles / (length / 7.5 m), not limited | on the approach lane, and those upstream if it is short |

**State** s_i: the wave of every link of the signal, in SUMO's order. A lane with several links (right, straight,
left) is there several times, and also pays several times; with `per="lane"` once.

**Observation**: own state, then those of the neighbours in their order; without `observe_neighbors` own state.

**Reward** r_i at the end of the step, a sum over the same links or lanes:

| `reward` | |
|---|---|
| `queue` (default) | −halting vehicles (below 0.1 m/s) on the detector or approach lane, at most `reward_cap` each |
| `wait` | −waiting time [s] of the vehicles on the approach lane: how long each has been halting |
| `pressure` | −abs(density on approach lanes − density on the lanes that the links lead to), of 1 vehicle per 7.5 m |

times `reward_scale`. The published reward, `queue`, does not know vehicles that find no room to enter: a team can earn
by keeping them out. `reward_backlog=True` charges a signal for those that wait to enter on the edges that lead to it
(who enters further away is free).

**End**: truncated after `seconds` (3600). If the simulator crashes, hangs or stops with an error, its episode is
truncated there, without a reward and with what was seen last, and a warning says so; the next episode gets a new
simulator. The third such episode in a row is a `UsageError`; SUMO's own errors at a reset, of files that do not fit,
are one at once.

**Statistics** of the episode so far: `queue`, halting vehicles per approach lane (or detector), mean over lanes and
steps; `speed` [m/s], mean over vehicles and steps; `travel_time` [s], mean over trips that were finished, from SUMO's
tripinfo device, without the wait to enter, 0 if there are none; `throughput`, their number; `running`, vehicles on the
roads now; `backlog`, those that wait outside for room to enter, now; `teleports`, vehicles that SUMO has taken out of a
jam; `interrupted`, 1 if the simulator was lost in it. Trips that cannot be finished in a jam are in no `travel_time`:
read it beside `throughput` and `backlog`.

**Randomness**: SUMO's own. Episode k after `reset(seed=s)` is simulated with seed s + 1 000 000 007 k modulo 2^31, and
equals a fresh reset with that: runs whose seeds are neighbours have no episodes in common.

Run `python -m ilvf.envs.traffic.env NET ROUTES` to see one.
"""

import math
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from ilvf.envs.traffic.network.network import Network, read_network
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.simulation import (
    Reading,
    Simulation,
    SimulatorLost,
    SimulatorRefuses,
    require_sumo,
)
from ilvf.errors import UsageError, require

SEEDS = 2**31  # SUMO's are below
NEXT = 1_000_000_007  # from an episode's seed to that of the next
NOBODY = "no vehicle has departed in an episode of {}; options='--begin SECONDS' starts when its traffic does"
STATISTICS = (
    "queue",
    "speed",
    "travel_time",
    "throughput",
    "running",
    "backlog",
    "teleports",
    "interrupted",
)

Seen = tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]  # observations, infos
Stepped = tuple[
    dict[str, np.ndarray],
    dict[str, float],
    dict[str, bool],
    dict[str, bool],
    dict[str, dict[str, Any]],
]


class SumoTrafficEnv(ParallelEnv):
    """One road network whose signals are agents; see the module's docstring for observations, rewards and rules.

    Args:
        network: SUMO's net file, or what `read_network` made of one.
        routes: the file of vehicles, flows and routes, or several.
        additional: more files, such as detectors, or one.
        detectors: see the table of waves; `additional` must have one for every approach lane.
        per: what waves and rewards are listed and summed over, `link` or `lane`.
        reward: `queue`, `wait` or `pressure`.
        reward_cap: most vehicles that a link or lane pays for in `queue`; None for all.
        reward_backlog: `queue` is also of the vehicles that wait outside for room to enter, each once.
        reward_scale: what rewards are multiplied by.
        observe_neighbors: the neighbours' waves are observed too.
        control_interval: [s] of a step.
        yellow: [s] of it for the transition.
        seconds: [s] of an episode.
        teleport: [s] after which SUMO takes a vehicle out of a jam, −1 for never.
        options: more of SUMO's command line.
        simulator: `libsumo`; `gui` opens SUMO's window, `traci` is that without a window. Both are slower.
        tripinfo: a folder for SUMO's records of finished trips, `tripinfo-SEED.xml`.
        timeout: [s] that the simulator may take for a step or a reset.
        attempts: episodes in a row that it may fail in.
    """

    def __init__(
        self,
        network: Network | str | Path,
        routes: str | Path | Sequence[str | Path],
        *,
        additional: str | Path | Sequence[str | Path] = (),
        detectors: bool = False,
        per: str = "link",
        reward: str = "queue",
        reward_cap: float | None = None,
        reward_backlog: bool = False,
        reward_scale: float = 1.0,
        observe_neighbors: bool = True,
        control_interval: float = 5.0,
        yellow: float = 2.0,
        seconds: float = 3600.0,
        teleport: float = 600.0,
        options: Sequence[str] = (),
        simulator: str = "libsumo",
        tripinfo: str | Path | None = None,
        timeout: float = 60.0,
        attempts: int = 3,
    ):
        require_sumo("this environment")
        require(control_interval > 0, f"control_interval={control_interval:g} s must be positive")
        require(
            0 <= yellow < control_interval,
            f"yellow={yellow:g} must not be negative, and shorter than control_interval={control_interval:g} s",
        )
        steps = round(seconds / control_interval, 6) if math.isfinite(seconds) else 0.0
        require(
            steps >= 1,
            f"seconds={seconds:g} must be at least one step of {control_interval:g} s, and finite",
        )
        require(attempts >= 1, f"attempts={attempts} must be at least 1")
        require(
            teleport >= -1,
            f"teleport={teleport:g} s must not be negative, but for -1, which is never",
        )
        self.network = read_network(network) if isinstance(network, str | Path) else network
        self.senses = Senses(
            self.network,
            detectors=detectors,
            per=per,
            reward=reward,
            reward_cap=reward_cap,
            reward_backlog=reward_backlog,
            reward_scale=reward_scale,
        )
        self.possible_agents, self.agents = [s.id for s in self.network.signals], list[str]()
        self.metadata = {
            "name": f"traffic_{self.network.net_file.stem}",
            "render_modes": [],
            "is_parallelizable": True,
        }
        self._own = self.senses.seen(None)
        self._seen = self.senses.seen(self.network.neighbours if observe_neighbors else None)
        sizes = zip(self.possible_agents, self._seen, self.network.signals, strict=True)
        self.observation_spaces, self.action_spaces = {}, {}
        for name, seen, signal in sizes:
            self.observation_spaces[name] = spaces.Box(0, np.inf, (len(seen),), np.float32)
            self.action_spaces[name] = spaces.Discrete(len(signal.phases))
        self.state_space = spaces.Box(0, np.inf, (sum(self.senses.sizes),), np.float32)
        self.horizon, self.attempts = int(steps), attempts
        self.simulation = Simulation(
            {s.id: s.phases for s in self.network.signals},
            self.senses.queries,
            _command_line(
                self.network.net_file, _files(routes), _files(additional), teleport, options
            ),
            interval=control_interval,
            yellow=yellow,
            simulator=simulator,
            timeout=timeout,
            tripinfo=_folder(tripinfo),
        )
        self._seed: int | None = None  # of the present episode
        self._ahead = ""  # what the simulator has been asked for already: "", "reset" or "step"
        self._failures = 0  # in a row

    def observation_space(self, agent: str) -> spaces.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.action_spaces[agent]

    def state(self) -> np.ndarray:
        """The waves of all signals."""
        return self._waves.copy()

    def queues(self) -> np.ndarray:
        """Halting vehicles on each lane of `network.lanes`, or on its detector, now, `[M]`."""
        return self._halting.copy()

    # ------------------------------------------------------------------ episodes
    def begin_reset(self, seed: int | None = None) -> None:
        """Ask the simulator for a new episode; the `reset` that follows waits for it."""
        if seed is not None:
            self._seed = seed % SEEDS
        else:
            drawn = (
                int(np.random.default_rng().integers(SEEDS))
                if self._seed is None
                else self._seed + NEXT
            )
            self._seed = drawn % SEEDS
        self.simulation.load(self._seed)
        self._ahead = "reset"

    def reset(self, seed: int | None = None, options: dict | None = None) -> Seen:
        if self._ahead != "reset":
            self.begin_reset(seed)
        while True:
            self._ahead = ""
            try:
                reading = self.simulation.read()
                break
            except SimulatorRefuses as error:
                raise UsageError(f"{self.network.net_file} and its traffic: {error}") from None
            except SimulatorLost as error:
                self._fail(
                    f"{error} when the episode with seed {self._seed} began", "it is tried again"
                )
                self.begin_reset(self._seed)
        self.agents = list(self.possible_agents)
        self._steps, self._queues, self._speeds, self._vehicles, self._interrupted = (
            0,
            0.0,
            0.0,
            0.0,
            False,
        )
        self._look(reading)
        return self._observations(), self._infos()

    def begin_step(self, actions: Mapping[str, int]) -> None:
        """Let the simulator begin a step; the `step` that follows, with the same actions, waits for its end."""
        require(bool(self.agents), "the episode is over; reset() begins the next one")
        missing = [a for a in self.agents if a not in actions]
        require(not missing, f"step needs an action of every signal; {', '.join(missing)} has none")
        phases = [int(actions[a]) for a in self.agents]
        for signal, phase in zip(self.network.signals, phases, strict=True):
            count = len(signal.phases)
            require(
                0 <= phase < count,
                f"signal {signal.id} has no phase {phase}: they are 0 to {count - 1}",
            )
        self.simulation.step(phases)
        self._ahead = "step"

    def step(self, actions: Mapping[str, int]) -> Stepped:
        if self._ahead != "step":
            self.begin_step(actions)
        self._ahead, names = "", self.agents
        rewards = np.zeros(len(names))
        try:
            reading = self.simulation.read()
        except SimulatorLost as error:
            self._fail(
                f"{error} after step {self._steps} of the episode with seed {self._seed}",
                "which ends there",
            )
            over = self._interrupted = True
        else:
            self._steps += 1
            self._look(reading)
            rewards, over = self.senses.rewards(reading), self._steps >= self.horizon
            self._failures = 0 if over else self._failures
            if over and not self._totals["departed"]:
                warnings.warn(NOBODY.format(self.network.net_file), stacklevel=2)
        if over:
            self.agents = []
        infos = self._infos()
        if over:
            infos = {a: info | {"episode": self.episode_statistics()} for a, info in infos.items()}
        ended = (dict.fromkeys(names, False), dict.fromkeys(names, over))
        return self._observations(), dict(zip(names, rewards.tolist(), strict=True)), *ended, infos

    def _fail(self, what: str, then: str) -> None:
        """The simulator is lost: start another, or give up."""
        self._failures += 1
        if self._failures >= self.attempts:
            raise UsageError(
                f"{what}, the last of {self._failures} failures in a row; look for the cause in "
                f"{self.network.net_file} and its routes, in the memory that is left, or in timeout="
            ) from None
        warnings.warn(f"{what}, {then}; failure {self._failures} of {self.attempts}", stacklevel=3)
        self.simulation.start()

    # ------------------------------------------------------------------ what is there
    def _look(self, reading: Reading) -> None:
        self._waves, self._totals = self.senses.waves(reading), reading.totals
        self._halting = reading.counts[1]
        if self._steps:
            self._queues += self.senses.queue(reading)
            self._speeds += reading.totals["speed"]
            self._vehicles += reading.totals["running"]

    def _observations(self) -> dict[str, np.ndarray]:
        return {
            a: self._waves[where] for a, where in zip(self.possible_agents, self._seen, strict=True)
        }

    def _infos(self) -> dict[str, dict[str, Any]]:
        return {
            a: {"state": self._waves[where]}
            for a, where in zip(self.possible_agents, self._own, strict=True)
        }

    def episode_statistics(self) -> dict[str, float]:
        """`STATISTICS` of the episode so far."""
        totals = self._totals
        return {
            "queue": self._queues / max(self._steps, 1),
            "speed": self._speeds / max(self._vehicles, 1.0),
            "travel_time": totals["travel_time"],
            "throughput": totals["arrived"],
            "running": totals["running"],
            "backlog": totals["backlog"],
            "teleports": totals["teleports"],
            "interrupted": float(self._interrupted),
        }

    def render(self) -> None:
        """SUMO's window is the picture: simulator="gui"."""

    def close(self) -> None:
        """End the simulator."""
        if "simulation" in self.__dict__:
            self.simulation.close()

    def __str__(self) -> str:
        return str(self.metadata["name"])


def _files(given: str | Path | Sequence[str | Path]) -> list[Path]:
    files = [Path(f).resolve() for f in ([given] if isinstance(given, str | Path) else given)]
    for file in files:
        require(file.is_file(), f"there is no file {file}")
    return files


def _folder(path: str | Path | None) -> Path | None:
    if path is None:
        return None
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"tripinfo={path}: the folder cannot be made ({error.strerror})"
        ) from error
    return Path(path).resolve()


def _command_line(
    net: Path,
    routes: Sequence[Path],
    additional: Sequence[Path],
    teleport: float,
    options: Sequence[str],
) -> list[str]:
    """Of SUMO, all but the seed. The device keeps records of finished trips, in memory."""
    line = ["-n", str(net.resolve()), "-r", ",".join(map(str, routes))]
    line += ["-a", ",".join(map(str, additional))] if additional else []
    line += ["--time-to-teleport", f"{teleport:g}", "--device.tripinfo.probability", "1"]
    return [*line, "--no-warnings", "--no-step-log", *map(str, options)]


def main() -> None:
    _, *files = sys.argv
    require(
        len(files) > 1,
        "python -m ilvf.envs.traffic.env NET ROUTES: the files of a network and of its traffic",
    )
    print(__doc__)
    env = SumoTrafficEnv(files[0], files[1:])
    print("\n".join(env.network.notes))
    for signal, seen in zip(env.network.signals, env._seen, strict=True):
        counts = f"{len(signal.phases)} phases, {len(signal.link_lanes)} links, observes {len(seen)} numbers"
        print(f"  {signal.id:<24} {counts}")
    env.reset(seed=0)
    started = time.perf_counter()
    while env.agents:
        env.step({a: env.action_space(a).sample() for a in env.agents})
    print(
        f"\nrandom phases for {env.horizon} steps, {time.perf_counter() - started:.1f} s: {env.episode_statistics()}"
    )
    env.close()


if __name__ == "__main__":
    from ilvf.errors import run_recipe

    run_recipe(main)
