"""Cost of the traffic environment on the 5 x 5 grid.

python benchmarks/traffic.py               one hour of simulated time, about three minutes
python benchmarks/traffic.py --steps 120   the first ten minutes

1. CPU time of one episode, that of the published trace `atsc_01_cycle`, in three variants that
   take turns of ten steps: the bare simulation, which sets the same signal states and reads
   nothing; `SumoTrafficEnv`; and `Traffic` with the fixed cycle as its policy. The rewards must be
   those of the trace.
2. Start-up of an environment on a network that was read before. The first environment also starts
   the template process from which the others are forked. Then the time of resets.
3. Steps/s of two copies and of one, after twenty minutes of the episode. The two copies are
   `Traffic` with two simulators, or TorchRL's `ParallelEnv` of two with its buffers. All three take
   turns of ten steps. This needs two free cores: the output shows the load of the machine and the
   CPU time of this process, which the simulators cannot use.
"""

import functools
import os
import statistics
import time
from collections.abc import Mapping, Sequence

import torch
from torchrl.envs import EnvBase, ParallelEnv

from common import argument_parser
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.envs.traffic import SumoTrafficEnv, Traffic
from ilvf.envs.traffic.simulator.child import templates
from traffic_cost import cost
from traffic_setup import FILES, TURN, network

FIRST = "first environment, with its reset"
ANOTHER = "another one"
RESET = "reset"
ONE = "1 copy"
TWO = "2 copies"
PARALLEL = "ParallelEnv of 2"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--steps", type=int, default=720, help="of 5 s, at most 720")
    given = parser.parse_args().steps
    if not TURN <= given <= 720:
        parser.error(f"--steps={given} must be between {TURN} and 720")
    steps = given // TURN * TURN
    torch.set_num_threads(1)
    cost(steps)
    print("start-up")
    start_up()
    print("side by side")
    side_by_side(first=min(steps, 240))


# ---------------------------------------------------------------------- start-up
def start_up(times: int = 5) -> None:
    """Print the seconds that environments take to start and to reset."""
    roads = network()
    seconds: dict[str, list[float]] = {FIRST: [], ANOTHER: [], RESET: []}
    for _ in range(times):
        for template in templates.values():
            template.end()
        envs: list[SumoTrafficEnv] = []
        for name, values in seconds.items():
            started = time.perf_counter()
            if name != RESET:
                envs.append(SumoTrafficEnv(roads, **FILES))
            envs[-1].reset()
            values.append(time.perf_counter() - started)
        for env in envs:
            env.close()
    for name, values in seconds.items():
        median = statistics.median(values)
        print(f"  {name:<40}{min(values):6.3f} s at best, {median:6.3f} s median of {times}")


# ---------------------------------------------------------------------- side by side
def one_copy(number: int) -> Traffic:
    """One copy, with the seed that copy `number` of several has."""
    return Traffic(network(), **FILES, num_envs=1, seed=SEED_STRIDE * number)


def compared() -> dict[str, EnvBase]:
    """The three environments, on the same episodes."""
    workers = [functools.partial(one_copy, number) for number in range(2)]
    return {
        ONE: one_copy(0),
        TWO: Traffic(network(), **FILES, num_envs=2, seed=0),
        PARALLEL: ParallelEnv(2, workers, use_buffers=True, mp_start_method="spawn"),
    }


def side_by_side(first: int, turns: int = 8) -> None:
    """Print the speed of the environments over `turns` turns, from step `first` on."""
    envs = compared()
    policy = envs[ONE].rules["fixed_cycle"]()
    now = {name: env.reset() for name, env in envs.items()}
    rates: dict[str, list[float]] = {name: [] for name in envs}
    busy: dict[str, list[float]] = {name: [] for name in envs}
    for turn in range(first // TURN + turns):
        for name, env in envs.items():
            started = time.perf_counter()
            spent = time.process_time()
            for _ in range(TURN):
                now[name] = env.step_and_maybe_reset(policy(now[name]))[1]
            if turn >= first // TURN:
                steps = env.batch_size.numel() * TURN
                rates[name].append(steps / (time.perf_counter() - started))
                busy[name].append(1e3 * (time.process_time() - spent) / TURN)
    two = now[TWO]["episode", "return"].flatten()
    parallel = now[PARALLEL]["episode", "return"].flatten()
    assert torch.equal(two, parallel)
    for env in envs.values():
        env.close()
    print_rates(rates, busy)


def print_rates(rates: Mapping[str, Sequence[float]], busy: Mapping[str, Sequence[float]]) -> None:
    """Print steps/s, CPU milliseconds of this process per step, and ratios to one copy."""
    for name, values in rates.items():
        ratios = sorted(x / one for x, one in zip(values, rates[ONE], strict=True))
        print(
            f"  {name:<18}{statistics.median(values):6.1f} steps/s,"
            f" {statistics.fmean(busy[name]):6.2f} ms CPU here a step;"
            f" ratio {statistics.median(ratios):.2f}"
            f" ({ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} turns)"
        )
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()[:2])
    print(f"  medians; load of the last minutes {load} on {os.cpu_count()} cores.")
    print("  The episodes of both pairs are the same.")


if __name__ == "__main__":
    main()
