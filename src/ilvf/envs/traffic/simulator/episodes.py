"""Successive episodes of one simulation, which go on if the simulator is lost."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ilvf.envs.traffic.simulator.simulation import (
    Reading,
    Simulation,
    SimulatorLost,
    SimulatorRefuses,
)
from ilvf.envs.traffic.simulator.sumo_process import Move
from ilvf.errors import UsageError

SEEDS = 2**31  # SUMO's seeds are below
EPISODE_SEED_STRIDE = 1_000_000_007  # from the seed of an episode to that of the next


class Episodes:
    """Requests to a simulation, episode by episode.

    If the simulator is lost, the episode ends, a warning gives the cause, and another simulator is
    started. A number of such episodes in a row raise.

    Args:
        simulation: the simulation.
        attempts: number of lost episodes in a row that raises.
        net_file: the simulated network, for messages.

    Attributes:
        seed: of this episode; None before the first.
        requested: what the simulator is working on: "reset", "step", "replay" or "".
        copy: number of this simulation among several, for messages; None if it is the only one.
    """

    def __init__(self, simulation: Simulation, attempts: int, net_file: Path):
        self.simulation = simulation
        self.attempts = attempts
        self.net_file = net_file
        self.seed: int | None = None
        self.requested = ""
        self.copy: int | None = None
        self._failures = 0  # in a row

    def request_reset(self, seed: int | None) -> None:
        """Ask for a new episode. Without a seed it follows from that of the last episode."""
        if seed is None:
            seed = self._next_seed()
        self.seed = seed % SEEDS
        self.simulation.load(self.seed)
        self.requested = "reset"

    def _next_seed(self) -> int:
        if self.seed is None:
            return int(np.random.default_rng().integers(SEEDS))
        return self.seed + EPISODE_SEED_STRIDE

    def request_step(self, phases: Sequence[int]) -> None:
        """Ask for a control step with these phases, one for each signal."""
        self.simulation.step(phases)
        self.requested = "step"

    def request_replay(self, seed: int, moves: Sequence[Move]) -> None:
        """Ask for an episode with its first moves."""
        self.simulation.replay(seed, moves)
        self.requested = "replay"

    def replayed(self, steps: int) -> list[Reading]:
        """Wait for a requested replay: the reading of its beginning, then one for each step.

        Raises:
            SimulatorLost: there will be none.
        """
        self.requested = ""
        return self.simulation.read_replay(steps)

    def first_reading(self) -> Reading:
        """Wait for the requested episode. If the simulator is lost, another one tries it again.

        Raises:
            UsageError: SUMO reports an error, or too many failures in a row.
        """
        while True:
            self.requested = ""
            try:
                return self.simulation.read()
            except SimulatorRefuses as error:
                raise UsageError(
                    f"{self.net_file} and its traffic{self._in_copy()}: {error}"
                ) from None
            except SimulatorLost as error:
                self._restart(f"{error} when {self._episode()} began", "it is tried again")
                self.request_reset(self.seed)

    def next_reading(self, steps: int) -> Reading | None:
        """Wait for the requested step.

        Args:
            steps: number of steps before it in this episode, for messages.

        Returns:
            None if the simulator is lost, which ends the episode.
        """
        self.requested = ""
        try:
            return self.simulation.read()
        except SimulatorLost as error:
            self._restart(f"{error} after step {steps} of {self._episode()}", "which ends there")
            return None

    def complete(self) -> None:
        """Note that an episode has reached its end: failures are counted from zero again."""
        self._failures = 0

    def _episode(self) -> str:
        """The present episode in messages."""
        return f"the episode with seed {self.seed}{self._in_copy()}"

    def _in_copy(self) -> str:
        """The copy in messages, such as " in copy 3"; "" if there is only one."""
        return "" if self.copy is None else f" in copy {self.copy}"

    def _restart(self, what: str, then: str) -> None:
        """Warn and start another simulator, or raise after the last attempt."""
        self._failures += 1
        if self._failures >= self.attempts:
            raise UsageError(
                f"{what}, the last of {self._failures} failures in a row; look for the cause in "
                f"{self.net_file} and its routes, in the memory that is left, or in timeout="
            ) from None
        message = f"{what}, {then}; failure {self._failures} of {self.attempts}"
        warnings.warn(message, stacklevel=4)  # the caller of the environment
        self.simulation.start()
