"""Traffic signals as a TorchRL environment: B copies of a road network, simulated at the same time.

    make_env("large_grid", num_envs=2)
    make_env("monaco", net_file="most.net.xml")
    make_env("sumo", net_file="town.net.xml", routes="town.rou.xml", per="lane")

Every copy has its simulator in a process of its own. All B simulators get their actions before the
first answer is awaited, so they use as many cores as there are. `workers` adds processes only for
the work on their answers. A simulator needs about 50 MB, and about 20 s of one core for an hour of
the grid.

The rules of `env.rules` on the grid, one hour, means over the same two episodes (`greedy` jams the
roads in one of them):

| | return | queue | travel_time [s] | throughput | backlog |
|---|---|---|---|---|---|
| random | −475 293 | 1.84 | 675 | 1847 | 863 |
| `fixed_cycle`, 25 s a phase | −462 496 | 1.80 | 645 | 2711 | 373 |
| `greedy` | −349 781 | 1.45 | 425 | 2822 | 280 |
| `max_pressure` | −267 229 | 1.14 | 501 | 3618 | 0 |

Run `python -m ilvf.envs.traffic.batched [STEPS]` to see the grid under its three rules.
"""

import functools
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.options import (
    CopyOptions,
    LargeGridOptions,
    MonacoOptions,
    ReadingOptions,
    SignalOptions,
    SumoOptions,
)
from ilvf.envs.pettingzoo.copies import Copies
from ilvf.envs.pictures import first_end
from ilvf.envs.traffic.controllers import FixedCycle, Greedy, MaxPressure
from ilvf.envs.traffic.draw import draw_episode
from ilvf.envs.traffic.env import Files, SumoTrafficEnv
from ilvf.envs.traffic.network.network import Network, Scenario
from ilvf.envs.traffic.network.read import read_network
from ilvf.envs.traffic.saved_states import SavedStates
from ilvf.envs.traffic.scenarios.large_grid import large_grid
from ilvf.envs.traffic.scenarios.monaco import monaco, monaco_network
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.arguments import additional_in, split_words
from ilvf.envs.traffic.simulator.child import get_ready
from ilvf.envs.traffic.simulator.crowding import crowded
from ilvf.envs.traffic.simulator.paths import as_list, existing_files, existing_folder
from ilvf.envs.traffic.simulator.simulation import LONGEST, require_sumo
from ilvf.envs.traffic.simulator.sumo_process import START_LIMIT
from ilvf.errors import UsageError, require, run_recipe
from ilvf.options import configure, select


@dataclass
class TrafficOptions(CopyOptions, SignalOptions):
    """Options of `Traffic`."""


O = TypeVar("O", LargeGridOptions, MonacoOptions, SumoOptions)


class Traffic(SavedStates):
    """`num_envs` copies of `SumoTrafficEnv`. The docstring of `ilvf.envs.traffic` has the rules.

    Args:
        network: the roads.
        routes, additional, detectors: as in `SumoTrafficEnv`.
        num_envs: B.
        seed: of the first copy; None draws one from torch's generator.
        device: where tensors are.
        **options: fields of `SignalOptions` and `CopyOptions` in `ilvf.envs.options`.
    """

    def __init__(
        self,
        network: Network,
        routes: Files,
        *,
        additional: Files = (),
        detectors: bool = False,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        settings = configure(TrafficOptions, options, "a traffic environment")
        warning = crowded(num_envs, os.cpu_count() or 1, psutil.virtual_memory().available)
        if warning:
            warnings.warn(warning, stacklevel=3)
        copies_per_worker = -(-num_envs // max(settings.workers, 1))
        super().__init__(
            SumoTrafficEnv,
            {
                "network": network,
                "routes": routes,
                "additional": additional,
                "detectors": detectors,
                **select(settings, SignalOptions),
            },
            workers=settings.workers,
            timeout=patience_with_workers(settings, copies_per_worker),
            num_envs=num_envs,
            seed=seed,
            device=device,
        )
        self.network = network
        self.agent_word = "signal"
        self.senses = Senses(network, settings, detectors=detectors)
        self.control_interval = settings.control_interval
        self.observe_neighbors = settings.observe_neighbors

    @property
    def neighbours(self) -> Tensor:
        """bool `[N, N]`: signal j is a neighbour of signal i."""
        return torch.from_numpy(self.network.neighbours).to(self.device)

    @property
    def observation_graph(self) -> Tensor:
        """bool `[N, N]`: state s_j is in the observation of i.

        The transition graph is unknown, because a vehicle passes several signals.
        """
        eye = torch.eye(self.n_agents, dtype=torch.bool, device=self.device)
        return self.neighbours | eye if self.observe_neighbors else eye

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        """Untrained controllers: name → a function that makes one."""
        rules = {"fixed_cycle": FixedCycle, "greedy": Greedy, "max_pressure": MaxPressure}
        return {name: functools.partial(self._make_rule, rule) for name, rule in rules.items()}

    def _make_rule(self, rule: Callable[[Senses], TensorDictModuleBase]) -> TensorDictModuleBase:
        return rule(self.senses).to(self.device)

    def queues(self) -> Tensor:
        """Halting vehicles now on each lane of `network.lanes`, or on its detector, `[B, M]`."""
        queues = [copy.queues() for copy in self._copies_here("the queues")]
        return torch.from_numpy(np.stack(queues, dtype=np.float32)).to(self.device)

    def record_trips(self, folder: str | None) -> None:
        """Let SUMO write the trips of the next episodes into a folder, as `tripinfo` does."""
        place = existing_folder("tripinfo", folder)
        for copy in self._copies_here("the trips"):
            copy.simulation.tripinfo = place

    def _copies_here(self, what: str) -> list[SumoTrafficEnv]:
        """The copies, if they are in this process."""
        if not isinstance(self.copies, Copies):
            raise UsageError(
                f"{what} of copies in workers cannot be reached; make the environment with "
                "workers=0"
            )
        return self.copies.envs

    def draw(self, rollout: TensorDictBase, index: int = 0) -> Any:
        """The first episode of environment `index` of a rollout `[B, T]`, as a figure."""
        return draw_episode(rollout[index], self.control_interval)

    def animate(self, rollout: TensorDictBase, path: Path | str, index: int = 0) -> None:
        """Write what signals pay in the first episode of environment `index` as a GIF of the map.

        Args:
            rollout: `[B, T]`.
            path: of the GIF.
            index: number of the environment.
        """
        from ilvf.envs.traffic.animation import animate_costs

        frames = rollout[index]["next"]
        end = first_end(frames["done"])
        reward = frames["agents", "reward"][:end].squeeze(-1).cpu().numpy()
        animate_costs(self.network, reward, self.control_interval, path)


# ---------------------------------------------------------------------- by name
def large_grid_signals(
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Traffic:
    """The grid of Chu et al. (2019), or a larger; `options` are fields of `LargeGridOptions`."""
    settings = prepare(LargeGridOptions, options, "env=large_grid")
    return signals_of(large_grid(side=settings.side), settings, num_envs, seed, device)


def monaco_signals(
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Traffic:
    """Monaco, after Chu et al. (2019); `options` are fields of `MonacoOptions`."""
    settings = prepare(MonacoOptions, options, "env=monaco")
    scenario = monaco(settings.net_file, table=settings.table)
    return signals_of(scenario, settings, num_envs, seed, device)


def sumo_signals(
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    **options: Any,
) -> Traffic:
    """Any SUMO network; `options` are fields of `SumoOptions`."""
    settings = prepare(SumoOptions, options, "env=sumo")
    missing = [name for name in ("net_file", "routes") if getattr(settings, name) is None]
    require(not missing, f"env=sumo needs {' and '.join(f'env.{k}=FILE' for k in missing)}")
    scenario = Scenario(
        Path(str(settings.net_file)),
        tuple(existing_files("routes", settings.routes)),
        tuple(existing_files("additional", settings.additional)),
        detectors=settings.detectors,
        table=settings.table,
    )
    return signals_of(scenario, settings, num_envs, seed, device)


def require_large_grid(options: LargeGridOptions) -> None:
    """Raise unless this machine has what `env=large_grid` needs."""
    require_sumo("env=large_grid")


def require_monaco(options: MonacoOptions) -> None:
    """Raise unless this machine has what `env=monaco` needs, also its network."""
    require_sumo("env=monaco")
    monaco_network(options.net_file, options.table)


def prepare(cls: type[O], options: Mapping[str, Any], of: str) -> O:
    """Checked options of an environment, `of`. SUMO is imported meanwhile, in another process."""
    require_sumo(of)
    settings = configure(cls, options, of)
    if settings.simulator == "libsumo" and settings.workers == 0:
        get_ready("libsumo")
    return settings


def patience_with_workers(options: SignalOptions, copies: int) -> float:
    """Seconds that a worker may take for an answer.

    The worker must notice a hung simulator, and replace it, before this process gives the worker
    up.

    Args:
        options: `timeout` and `attempts` are used.
        copies: of a worker.
    """
    start = max(START_LIMIT, options.timeout)
    return min(LONGEST, options.attempts * (options.timeout + start) * copies)


def signals_of(
    scenario: Scenario,
    settings: LargeGridOptions | MonacoOptions | SumoOptions,
    num_envs: int,
    seed: int | None,
    device: torch.device | str,
) -> Traffic:
    """`num_envs` copies of a scenario."""
    words = []
    for line in as_list("options", settings.options):
        words += split_words(str(line))
    additional: list[str | Path] = [*additional_in(words), *scenario.additional_files]
    reading = {**select(settings, ReadingOptions), "table": scenario.table}
    return Traffic(
        read_network(scenario.net_file, additional=additional, **reading),
        scenario.route_files,
        additional=scenario.additional_files,
        detectors=scenario.detectors,
        num_envs=num_envs,
        seed=seed,
        device=device,
        **{**select(settings, TrafficOptions), "options": words},
    )


def main() -> None:
    """Play the large grid by its three rules and print the statistics."""
    steps = sys.argv[1] if len(sys.argv) > 1 else "720"
    require(
        steps.isdecimal() and int(steps) > 0,
        f"python -m ilvf.envs.traffic.batched STEPS: {steps} is no number of steps",
    )
    print(__doc__)
    env = large_grid_signals(seed=0)
    for rule, make in env.rules.items():
        started = time.perf_counter()
        rollout = env.rollout(int(steps), make(), break_when_any_done=False)
        last = rollout["next", "episode"][0, -1]
        numbers = ", ".join(f"{name} {float(value):.1f}" for name, value in last.items())
        print(f"{rule}: {numbers}; {time.perf_counter() - started:.0f} s")
    env.close()


if __name__ == "__main__":
    run_recipe(main)
