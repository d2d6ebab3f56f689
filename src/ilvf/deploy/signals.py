"""`SignalController`: trained traffic signals in a simulation, or a city, that is not ours.

controller = SignalController.load("signals.ilvf")
while traci.simulation.getMinExpectedNumber() > 0:
    controller.step(traci)                       # before every simulation step
    traci.simulationStep()

states = controller.act({"north_0": 4, "south_0": 1, ...})     # without SUMO
"""

import math
import warnings
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from ilvf.checkpoints.policy import Policy
from ilvf.deploy.signal_file import read_signals
from ilvf.envs.options import SignalOptions
from ilvf.envs.traffic.network.network import Network
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.simulation import Reading
from ilvf.envs.traffic.simulator.sumo_process import (
    UnfitSimulationError,
    require_whole_steps,
    transition,
)
from ilvf.errors import UsageError, require
from ilvf.options import shown

SOON = 1e-6  # [s] within which two times are equal


class SignalController:
    """Trained signals of a road network.

    Every `control_interval` seconds it reads the vehicles on the approach lanes, as the
    environment does in training, and chooses a phase for each signal. A link that loses green is
    yellow for the first `yellow` seconds.

    Args:
        policy: the trained team.
        network: the roads.
        options: of the environment that it was trained on.
        detectors: the counts are those of lane-area detectors with the lanes' ids.
        deterministic: take the most likely phases; False samples.

    Attributes:
        lanes: what `act` needs the vehicles of: lanes, or detectors with their ids.
        shown: signal → the state that it has now, of the last call.
    """

    def __init__(
        self,
        policy: Policy,
        network: Network,
        options: SignalOptions,
        *,
        detectors: bool = False,
        deterministic: bool = True,
    ):
        self.policy = policy
        self.network = network
        self.options = options
        self.deterministic = deterministic
        self._senses = Senses(network, options, detectors=detectors)
        self._domain, self._function, self.lanes, _ = self._senses.queries[0]
        neighbours = network.neighbour_lists if options.observe_neighbors else None
        self._entries = self._senses.observed_entries(neighbours)
        self._warned = False
        self.restart()

    @classmethod
    def load(cls, path: str | Path, *, deterministic: bool = True) -> Self:
        """The controller in a file of `ilvf export to=signals`.

        Raises:
            UsageError: the file is missing, damaged, or another one.
        """
        policy, network, options, detectors = read_signals(Path(path))
        return cls(policy, network, options, detectors=detectors, deterministic=deterministic)

    def __repr__(self) -> str:
        size = f"{len(self.network.signals)} signals, {len(self.lanes)} lanes"
        return f"SignalController({size}, every {self.options.control_interval:g} s)"

    def restart(self) -> None:
        """Forget the time, the phases and what a recurrent team remembers: a new simulation begins.

        Every signal counts as showing its first phase, as at the start of an episode. `step` does
        this itself when the time of the simulation goes back, or leaps over a decision. In a
        simulation that has begun, it then starts from what the lights show.
        """
        self.policy.reset()
        self.shown: dict[str, str] = {}
        self._wanted = {signal.id: signal.phases[0] for signal in self.network.signals}
        self._last_step: float | None = None
        self._next_decision = 0.0
        self._yellow_ends: float | None = None

    # ------------------------------------------------------------------ numbers
    def act(self, vehicles: Mapping[str, float]) -> dict[str, str]:
        """Signal → the phase that the team chooses, one letter for each link.

        Args:
            vehicles: lane, or detector → vehicles on it now, for all `lanes`.

        Raises:
            UsageError: a lane is missing, or a number is negative or not finite.
        """
        require(
            isinstance(vehicles, Mapping),
            f"vehicles={shown(vehicles)} is no mapping; act needs lane → number of vehicles, "
            "for all of controller.lanes",
        )
        missing = [lane for lane in self.lanes if lane not in vehicles]
        require(
            not missing,
            f"vehicles lacks {len(missing)} of {len(self.lanes)} lanes, such as {missing[:1]}; "
            "controller.lanes lists what it needs",
        )
        for lane in self.lanes:
            number = vehicles[lane]
            require(
                isinstance(number, Real) and 0 <= number < math.inf,
                f"vehicles has {shown(number)} for {lane}; a number of vehicles is at least 0",
            )
        counts = np.array([vehicles[lane] for lane in self.lanes], np.float64)
        actions = self._actions(self._senses.waves(Reading([counts], {})))
        signals = zip(self.network.signals, actions, strict=True)
        return {signal.id: signal.phases[action] for signal, action in signals}

    def _actions(self, waves: np.ndarray) -> list[int]:
        """The number of a phase for each signal, from the waves `[E]`."""
        arguments = self.policy.actor.arguments
        n = len(self.network.signals)
        place = next(self.policy.parameters()).device
        observation = torch.zeros(n, arguments["observation_dim"], device=place)
        possible = torch.zeros(n, arguments["n_actions"], dtype=torch.bool, device=place)
        for i, seen in enumerate(self._entries):
            observation[i, : len(seen)] = torch.from_numpy(waves[seen])
            possible[i, : len(self.network.signals[i].phases)] = True
        mask = possible if self.policy.actor.masked else None
        return self.policy(observation, mask, deterministic=self.deterministic).tolist()

    # ------------------------------------------------------------------ a simulation
    def step(self, connection: Any) -> None:
        """Read and set the signals, if it is time to; call it before every simulation step.

        Args:
            connection: `traci`, `libsumo`, or a connection of `traci.connect`. Signals that the
                controller does not know keep their programs.

        Raises:
            UsageError: the simulation lacks a signal, lane or detector, or its step does not divide
                the times of the signals.
        """
        now = connection.simulation.getTime()
        if not self._goes_on(now):
            self._warn_late(now)
            self._take_over(connection, now)
        self._warn_late(now)
        self._last_step = now
        if now >= self._next_decision - SOON:
            self._decide(connection, now)
        elif self._yellow_ends is not None and now >= self._yellow_ends - SOON:
            self._show(connection, self._wanted)
            self._yellow_ends = None

    def _take_over(self, connection: Any, now: float) -> None:
        """Begin with what the lights show; at the start of a simulation with the first phases."""
        ours = self.shown
        self.restart()
        self._require_fit(connection)
        self._next_decision = now
        if now > float(connection.simulation.getOption("begin")):
            for name in self._wanted:
                state = connection.trafficlight.getRedYellowGreenState(name)
                # A yellow of others may have just begun; ours has lasted since the last decision.
                self._wanted[name] = state if state == ours.get(name) else still_green(state)

    def _warn_late(self, now: float) -> None:
        """Warn once if a time is after the end of a transition, or after a decision was due."""
        if self._last_step is None or now < self._last_step or self._warned:
            return
        due = self._next_decision if self._yellow_ends is None else self._yellow_ends
        if now > due + SOON:
            self._warned = True
            warnings.warn(
                f"SignalController.step was called at {now:g} s, and the lights had to change at "
                f"{due:g} s; call it before every simulation step",
                stacklevel=3,
            )

    def _goes_on(self, now: float) -> bool:
        """Whether a time is of the simulation of the last step, with no decision between them."""
        if self._last_step is None:
            return False
        return -SOON <= now - self._last_step <= self.options.control_interval + SOON

    def _decide(self, connection: Any, now: float) -> None:
        """Choose phases, and begin the transition to them."""
        read = getattr(getattr(connection, self._domain), self._function)
        before = self._wanted
        self._wanted = self.act({lane: read(lane) for lane in self.lanes})
        self._next_decision = now + self.options.control_interval
        if not self.options.yellow:
            self._show(connection, self._wanted)
            return
        waits = self.options.priority_waits
        between = {name: transition(before[name], self._wanted[name], waits) for name in before}
        self._show(connection, between)
        self._yellow_ends = now + self.options.yellow

    def _show(self, connection: Any, states: Mapping[str, str]) -> None:
        """Set the signals that do not show these states yet."""
        for name, state in states.items():
            if self.shown.get(name) != state:
                connection.trafficlight.setRedYellowGreenState(name, state)
                self.shown[name] = state

    def _require_fit(self, connection: Any) -> None:
        """Raise unless the simulation has all signals and lanes, and a step that fits."""
        times = {"control_interval": self.options.control_interval, "yellow": self.options.yellow}
        try:
            require_whole_steps(connection.simulation.getDeltaT(), **times)
        except UnfitSimulationError as error:
            raise UsageError(f"the simulation cannot show what was trained: {error}") from None
        lights = set(connection.trafficlight.getIDList())
        places = set(getattr(connection, self._domain).getIDList())
        kind = "lane" if self._domain == "lane" else "lane-area detector"
        for what, known, wanted in (
            ("traffic light", lights, [signal.id for signal in self.network.signals]),
            (kind, places, self.lanes),
        ):
            missing = [name for name in wanted if name not in known]
            require(
                not missing,
                f"the simulation has no {what} {missing[:1]}, nor {max(len(missing) - 1, 0)} "
                "others; the signals were trained on another network",
            )
        for signal in self.network.signals:
            found = len(connection.trafficlight.getRedYellowGreenState(signal.id))
            require(
                found == len(signal.phases[0]),
                f"signal {signal.id} has {found} links in the simulation, and "
                f"{len(signal.phases[0])} in training; it was trained on another network",
            )


def still_green(state: str) -> str:
    """A state with its yellow links green, so that a transition from it keeps them yellow."""
    return state.replace("y", "g").replace("Y", "g")
