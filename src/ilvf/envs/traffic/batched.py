"""Traffic signals as a TorchRL environment: B road networks, each simulated in a process of its own, side by side.

    make_env("large_grid", num_envs=2)
    make_env("monaco", net_file="most.net.xml")
    make_env("sumo", net_file="town.net.xml", routes="town.rou.xml", per="lane")

All B simulators get their actions before the first is awaited, so they run at the same time on as many cores as there
are; `workers` adds only processes for what is done with their answers. One needs about 50 MB, and an hour of the grid
about 20 s of one core.

The rules of `env.rules` on the grid, an hour, means over the same two episodes (greedy jams the roads in one of them):

| | return | queue | travel_time [s] | throughput | backlog |
|---|---|---|---|---|---|
| random | −475 293 | 1.84 | 675 | 1847 | 863 |
| `fixed_cycle`, 25 s a phase | −462 496 | 1.80 | 645 | 2711 | 373 |
| `greedy` | −349 781 | 1.45 | 425 | 2822 | 280 |
| `max_pressure` | −267 229 | 1.14 | 501 | 3618 | 0 |

Run `python -m ilvf.envs.traffic.batched [STEPS]` to see the grid under its three rules.
"""

import functools
import inspect
import os
import shlex
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.pettingzoo.copies import Copies
from ilvf.envs.pettingzoo.env import PettingZoo
from ilvf.envs.traffic.env import SumoTrafficEnv
from ilvf.envs.traffic.network.network import Network, read_network
from ilvf.envs.traffic.senses import Senses
from ilvf.envs.traffic.simulator.child import get_ready
from ilvf.errors import UsageError, require

SENSES = ("per", "reward", "reward_cap", "reward_backlog", "reward_scale")
MEMORY = 50e6  # [bytes] of a simulator's own, on full roads
PER_CORE = 4  # simulators that nobody needs to be warned of
READING = ("table", "add_protected", "max_edges", "max_distance", "cover")


class Traffic(PettingZoo):
    """`num_envs` copies of a road network; see `SumoTrafficEnv` for observations, rewards and rules.

    Args:
        network: the roads.
        routes, **options: of `SumoTrafficEnv`.
        workers: child processes that the copies are spread over, each with its simulators; 0 keeps them here.
        timeout, attempts: of every copy.
        num_envs, seed, device: as everywhere.
    """

    def __init__(
        self,
        network: Network,
        routes: Sequence[Path],
        *,
        workers: int = 0,
        timeout: float = 60.0,
        attempts: int = 3,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        known = list(inspect.signature(SumoTrafficEnv).parameters)
        unknown = ", ".join(options.keys() - known)
        require(
            not unknown,
            f"{unknown}: a traffic environment has no such option, only {', '.join(known[2:])}",
        )
        self.network = network
        chosen = {k: v for k, v in options.items() if k in SENSES}
        self.senses = Senses(network, detectors=options.get("detectors", False), **chosen)
        self.control_interval = options.get("control_interval", 5.0)
        self._neighbors = options.get("observe_neighbors", True)
        kwargs = {
            "network": network,
            "routes": routes,
            "timeout": timeout,
            "attempts": attempts,
            **options,
        }
        if doubts := crowded(num_envs, os.cpu_count() or 1, psutil.virtual_memory().available):
            warnings.warn(doubts, stacklevel=3)
        require(attempts >= 1, f"attempts={attempts} must be at least 1")
        require(timeout > 0, f"timeout={timeout} must be positive")
        copies = -(-num_envs // max(workers, 1))
        patience = (
            2 * attempts * timeout * copies
        )  # of us with a worker, which has to lose patience first
        super().__init__(
            SumoTrafficEnv,
            kwargs,
            workers=workers,
            timeout=patience,
            num_envs=num_envs,
            seed=seed,
            device=device,
        )

    @property
    def neighbours(self) -> Tensor:
        """bool `[N, N]`: which signals are near which, by road."""
        return torch.from_numpy(self.network.neighbours).to(self.device)

    @property
    def observation_graph(self) -> Tensor:
        """Whose state s_j is in the observation. (Who moves whom is not known: vehicles pass several signals.)"""
        eye = torch.eye(self.n_agents, dtype=torch.bool, device=self.device)
        return self.neighbours | eye if self._neighbors else eye

    @property
    def rules(self) -> Mapping[str, Callable[[], TensorDictModuleBase]]:
        from ilvf.envs.traffic.controllers import FixedCycle, Greedy, MaxPressure

        rules = {"fixed_cycle": FixedCycle, "greedy": Greedy, "max_pressure": MaxPressure}
        return {name: functools.partial(self._rule, rule) for name, rule in rules.items()}

    def _rule(self, rule: Callable[[Senses], TensorDictModuleBase]) -> TensorDictModuleBase:
        return rule(self.senses).to(self.device)

    def queues(self) -> Tensor:
        """Halting vehicles on each lane of `network.lanes`, or on its detector, now, `[B, M]`."""
        if not isinstance(self.copies, Copies):
            raise UsageError(
                "the queues of copies in workers cannot be read; make the environment with workers=0"
            )
        return self._tensor(
            np.stack([copy.queues() for copy in self.copies.envs], dtype=np.float32)
        )

    def draw(self, rollout: TensorDictBase, index: int = 0) -> Any:
        """A matplotlib figure of the first episode of environment `index` of a rollout `[B, T]`: queue and speed."""
        from ilvf.envs.traffic.draw import draw_episode

        return draw_episode(rollout[index], self.control_interval)


def crowded(num_envs: int, cores: int, free: float) -> str:
    """A sentence about more simulators than a machine with `free` [bytes] of memory should have, or nothing."""
    need = num_envs * MEMORY
    if num_envs <= PER_CORE * cores and need <= free:
        return ""
    return (
        f"{num_envs} simulators at once need about {need / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB are "
        f"free, and share {cores} cores; there are fewer with preset=traffic, or by algorithm.num_envs= and "
        "algorithm.eval_episodes="
    )


def make_traffic(name: str, **options: Any) -> Traffic:
    """`large_grid` and `monaco` as published, `sumo` from any files; the rest of `options` is `Traffic`'s.

    net_file: of `monaco` and `sumo`; table, add_protected, max_edges, max_distance, cover: of `read_network`.
    """
    if options.get("simulator", "libsumo") == "libsumo" and not options.get("workers"):
        get_ready("libsumo")  # it imports SUMO while we read
    reading = {k: options.pop(k) for k in READING if k in options}
    given = {k: v for k, v in (_files(name, options) | options).items() if v is not None}
    for k in ("options", "routes", "additional"):
        given[k] = [given[k]] if isinstance(given.get(k), str | Path) else given.get(k, ())
        words = isinstance(given[k], list | tuple) and all(
            isinstance(word, str | Path) for word in given[k]
        )
        require(words, f"{k}={given[k]!r} must be text, or a list of it")
    for k in ("net_file", "table"):
        found = (given | reading).get(k)
        require(
            found is None or isinstance(found, str | Path),
            f"{k}={found!r} must be the path of a file",
        )
    given["options"] = [word for line in given["options"] for word in _words(str(line))]
    return Traffic(read_network(given.pop("net_file"), **reading), **given)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"options={line!r} cannot be read: {error}") from None


def _files(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """net_file, routes, additional, detectors, and the published reward's cap; takes `net_file` out of the options."""
    if name == "sumo":
        lacking = [k for k in ("net_file", "routes") if options.get(k) is None]
        require(not lacking, f"env=sumo needs {' and '.join(f'env.{k}=FILE' for k in lacking)}")
        return {}
    if name == "large_grid":
        from ilvf.envs.traffic.scenarios.large_grid import large_grid

        scenario, published = large_grid(), {}
    else:
        from ilvf.envs.traffic.scenarios.monaco import monaco

        scenario, published = monaco(options.pop("net_file", None)), {"reward_cap": 10.0}
    return {
        "net_file": scenario.net_file,
        "routes": scenario.route_files,
        "additional": scenario.additional_files,
        "detectors": scenario.detectors,
        **published,
    }


def main() -> None:
    steps = sys.argv[1] if len(sys.argv) > 1 else "720"
    require(
        steps.isdecimal() and int(steps) > 0,
        f"python -m ilvf.envs.traffic.batched STEPS: {steps} is no number of steps",
    )
    print(__doc__)
    env = make_traffic("large_grid", seed=0)
    for rule, make in env.rules.items():
        started = time.perf_counter()
        rollout = env.rollout(int(steps), make(), break_when_any_done=False)
        last = rollout["next", "episode"][0, -1]
        numbers = ", ".join(f"{k} {float(v):.1f}" for k, v in last.items())
        print(f"{rule}: {numbers}; {time.perf_counter() - started:.0f} s")
    env.close()


if __name__ == "__main__":
    from ilvf.errors import run_recipe

    run_recipe(main)
