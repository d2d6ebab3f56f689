"""A road network as a PettingZoo environment. `ilvf.envs.traffic` has the rules.

    python -m ilvf.envs.traffic.env NET ROUTES

prints them and plays an episode of random phases.
"""

import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv

from ilvf.envs import traffic
from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.episode_statistics import EpisodeStatistics
from ilvf.envs.traffic.moments import Moment
from ilvf.envs.traffic.network.network import Network
from ilvf.envs.traffic.network.programs import require_same_programs
from ilvf.envs.traffic.network.read import Files, read_network
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.arguments import (
    additional_in,
    command_line,
    warn_of_teleport,
    words_of,
)
from ilvf.envs.traffic.simulator.episodes import Episodes
from ilvf.envs.traffic.simulator.paths import (
    absolute,
    existing_files,
    existing_folder,
    has_vehicles,
    require_numbers,
    require_plain_name,
)
from ilvf.envs.traffic.simulator.simulation import Reading, Simulation, require_sumo
from ilvf.envs.traffic.track import Track
from ilvf.errors import UsageError, require, run_recipe
from ilvf.options import configure
from ilvf.options.arguments import whole_number

Start = tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]  # observations, infos
Step = tuple[  # observations, rewards, terminated, truncated, infos
    dict[str, np.ndarray],
    dict[str, float],
    dict[str, bool],
    dict[str, bool],
    dict[str, dict[str, Any]],
]


class SumoTrafficEnv(ParallelEnv):
    """A road network as a PettingZoo environment; each signal is one agent.

    The docstring of `ilvf.envs.traffic` has the rules.

    Args:
        network: SUMO's net file, or the result of `read_network`.
        routes: file of vehicles, flows and routes, or several.
        additional: more files, such as detectors, or one.
        detectors: waves and queues are those of lane-area detectors; `additional` must define one
            for every approach lane, with the lane's id.
        **options: fields of `ilvf.envs.options.SignalOptions`. `options["options"]` is more of
            SUMO's command line, as text or as a list of words.

    Raises:
        UsageError: SUMO or a file is missing, or an option is wrong.
    """

    def __init__(
        self,
        network: Network | str | Path,
        routes: Files,
        *,
        additional: Files = (),
        detectors: bool = False,
        **options: Any,
    ):
        require_sumo("this environment")
        settings = configure(SignalOptions, options, "SumoTrafficEnv")
        words = words_of(settings.options)
        more = existing_files("additional", additional)
        traffic_files = existing_files("routes", routes)
        require(bool(traffic_files), "routes is empty; name a file of vehicles, flows or trips")
        require_numbers([*traffic_files, *more])
        self._traffic_files = [*traffic_files, *more]
        loaded = existing_files("additional", [*additional_in(words), *more])
        self.network = network_with_programs(network, loaded)
        warn_of_teleport(words, settings.teleport)
        self.senses = Senses(self.network, settings, detectors=detectors)
        self.horizon = settings.episode_steps
        self.possible_agents = [signal.id for signal in self.network.signals]
        self.agents: list[str] = []
        self.metadata = {
            "name": f"traffic_{self.network.net_file.stem}",
            "render_modes": [],
            "is_parallelizable": True,
        }
        self._declare_spaces(settings.observe_neighbors)
        self.simulation = Simulation(
            {signal.id: signal.phases for signal in self.network.signals},
            self.senses.queries,
            command_line(
                net_file_for_sumo(self.network),
                traffic_files,
                loaded if more else [],  # -a would replace the configuration's files
                settings.teleport,
                words,
                lane_noise=settings.lane_noise,
            ),
            settings,
            existing_folder("tripinfo", settings.tripinfo),
        )
        self.episodes = Episodes(self.simulation, settings.attempts, self.network.net_file)
        self.track = Track(self.episodes, self.senses)

    def _declare_spaces(self, observe_neighbors: bool) -> None:
        neighbours = self.network.neighbour_lists if observe_neighbors else None
        self._state_entries = self.senses.observed_entries(None)
        self._entries = self.senses.observed_entries(neighbours)
        self.observation_spaces: dict[str, spaces.Space] = {}
        self.action_spaces: dict[str, spaces.Space] = {}
        for signal, seen in zip(self.network.signals, self._entries, strict=True):
            self.observation_spaces[signal.id] = spaces.Box(0, np.inf, (len(seen),), np.float32)
            self.action_spaces[signal.id] = spaces.Discrete(len(signal.phases))
        self.state_space = spaces.Box(0, np.inf, (sum(self.senses.sizes),), np.float32)

    def observation_space(self, agent: str) -> spaces.Space:
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space:
        return self.action_spaces[agent]

    def state(self) -> np.ndarray:
        """The waves of all signals."""
        return self._waves.copy()

    def queues(self) -> np.ndarray:
        """Halting vehicles now on each lane of `network.lanes`, or on its detector, `[M]`."""
        return self._halting.copy()

    # ------------------------------------------------------------------ episodes
    def set_copy_number(self, number: int) -> None:
        """Name this environment in messages as copy `number` of several."""
        self.episodes.copy = number

    def begin_reset(self, seed: int | None = None) -> None:
        """Ask the simulator for a new episode; the next `reset` waits for it."""
        self.episodes.request_reset(seed)

    def reset(self, seed: int | None = None, options: dict | None = None) -> Start:
        """Begin an episode. Without a seed it follows from that of the last episode."""
        if self.episodes.requested != "reset":
            self.begin_reset(seed)
        reading = self.episodes.first_reading()
        self.track.begin()
        return self._begin(reading, self.senses.no_statistics(reading))

    def _begin(self, reading: Reading, statistics: EpisodeStatistics) -> Start:
        self.agents = list(self.possible_agents)
        self._statistics = statistics
        self._look(reading)
        return self._observations(), self._infos()

    def begin_step(self, actions: Mapping[str, int]) -> None:
        """Let the simulator begin a step; the next `step`, with the same actions, waits for it."""
        require(bool(self.agents), "the episode is over; reset() begins the next one")
        missing = [agent for agent in self.agents if agent not in actions]
        require(not missing, f"step needs an action of every signal; {', '.join(missing)} has none")
        phases = []
        for agent, signal in zip(self.agents, self.network.signals, strict=True):
            count = len(signal.phases)
            phase = whole_number(actions[agent])
            if phase is None or not 0 <= phase < count:
                raise UsageError(
                    f"signal {signal.id} has no phase {actions[agent]!s:.100}: they are 0 to "
                    f"{count - 1}"
                )
            phases.append(phase)
        self.episodes.request_step(phases)
        self.track.add(phases)

    def step(self, actions: Mapping[str, int]) -> Step:
        """One control step: phase `actions[agent]` at every signal."""
        if self.episodes.requested != "step":
            self.begin_step(actions)
        agents = self.agents
        reading = self.episodes.next_reading(self._statistics.steps)
        if reading is None:
            self._statistics.interrupted = True
            rewards = np.zeros(len(agents))
        else:
            self.senses.count(reading, self._statistics)
            self._look(reading)
            rewards = self.senses.rewards(reading)
        over = reading is None or self._statistics.steps >= self.horizon
        infos = self._infos()
        if over:
            self.agents = []
            for info in infos.values():
                info["episode"] = self.episode_statistics()
            if reading is not None:
                self._complete()
        return (
            self._observations(),
            dict(zip(agents, rewards.tolist(), strict=True)),
            dict.fromkeys(agents, False),
            dict.fromkeys(agents, over),
            infos,
        )

    def _complete(self) -> None:
        """An episode has reached its end: warn if it had no traffic."""
        self.episodes.complete()
        if not self._statistics.totals["departed"]:
            advice = "options='--begin SECONDS' starts when its traffic does"
            if not any(map(has_vehicles, self._traffic_files)):
                names = ", ".join(str(path) for path in self._traffic_files)
                advice = f"{names} has no vehicle, trip or flow"
            warnings.warn(
                f"no vehicle has departed in an episode of {self.network.net_file}; {advice}",
                stacklevel=3,
            )

    # ------------------------------------------------------------------ saved states
    def save(self) -> Moment:
        """The present moment of the episode, from which it can go on later."""
        require("_statistics" in self.__dict__, "there is no state to save before the first reset")
        return self.track.moment(self._statistics.steps)

    def begin_restore(self, moment: Moment) -> None:
        """Send a simulator to a moment; the next `restore` waits for it."""
        self.track.request(moment)

    def restore(self, moment: Moment) -> Start:
        """Go on from a moment.

        Unless the clock is that of the moment, the statistics begin there.
        """
        reading, statistics = self.track.restore(moment)
        if moment.clock != statistics.steps:
            statistics = self.senses.no_statistics(reading)
            statistics.steps = moment.clock
        return self._begin(reading, statistics)

    # ------------------------------------------------------------------ observations
    def _look(self, reading: Reading) -> None:
        self._waves = self.senses.waves(reading)
        self._halting = reading.counts[1]

    def _observations(self) -> dict[str, np.ndarray]:
        entries = zip(self.possible_agents, self._entries, strict=True)
        return {agent: self._waves[seen] for agent, seen in entries}

    def _infos(self) -> dict[str, dict[str, Any]]:
        entries = zip(self.possible_agents, self._state_entries, strict=True)
        return {agent: {"state": self._waves[own]} for agent, own in entries}

    def episode_statistics(self) -> dict[str, float]:
        """Statistics of the episode so far: name → number."""
        return self._statistics.as_dict()

    def render(self) -> None:
        """Does nothing: SUMO's window is the picture, with simulator="gui"."""

    def close(self) -> None:
        """End the simulator."""
        if "simulation" in self.__dict__:
            self.simulation.close()
        if "track" in self.__dict__:
            self.track.close()

    def __str__(self) -> str:
        return str(self.metadata["name"])


def network_with_programs(network: Network | str | Path, additional: Files) -> Network:
    """A network whose signal programs are those that SUMO uses.

    Args:
        network: a net file, or the result of `read_network`.
        additional: all additional files that SUMO gets.

    Raises:
        UsageError: a network was read with other programs.
    """
    if isinstance(network, str | Path):
        return read_network(network, additional=additional)
    files = existing_files("additional", additional)
    if tuple(files) != network.additional_files:
        require_same_programs(network.programs, files)
    return network


def net_file_for_sumo(network: Network) -> Path:
    """The absolute path of a net file, if SUMO's command line can have it."""
    path = absolute("there is no network", network.net_file)
    require_plain_name(path)
    return path


def main() -> None:
    """Print what signals have, and play an episode of random phases."""
    _, *files = sys.argv
    require(
        len(files) > 1,
        "python -m ilvf.envs.traffic.env NET ROUTES: the files of a network and of its traffic",
    )
    print(traffic.__doc__)
    env = SumoTrafficEnv(files[0], files[1:])
    print("\n".join(env.network.notes))
    for signal in env.network.signals:
        size = spaces.flatdim(env.observation_space(signal.id))
        counts = f"{len(signal.phases)} phases, {len(signal.link_lanes)} links"
        print(f"  {signal.id:<24} {counts}, observes {size} numbers")
    env.reset(seed=0)
    started = time.perf_counter()
    while env.agents:
        env.step({agent: env.action_space(agent).sample() for agent in env.agents})
    seconds = time.perf_counter() - started
    print(f"\nrandom phases for {env.horizon} steps, {seconds:.1f} s: {env.episode_statistics()}")
    env.close()


if __name__ == "__main__":
    run_recipe(main)
