"""Cost of a PettingZoo environment: the bare loop, `ilvf.envs.PettingZoo`, and TorchRL's wrapper.

    python benchmarks/pettingzoo_envs.py               simple_spread, 32 copies, one thread
    python benchmarks/pettingzoo_envs.py --sleep 2     and 2 ms more a step of every copy, as a simulator may take

The bare loop steps the copies and resets them, and converts nothing. TorchRL's wrapper refuses partial resets, so all
copies end together. All variants run in turn in one process, and step with the same actions; best of three.
"""

import argparse
import functools
import time
import warnings

import torch
from mpe2 import simple_spread_v3
from torchrl.envs import EnvBase, PettingZooWrapper, SerialEnv

from ilvf.envs import PettingZoo

COPIES, STEPS = 32, 25


def spread(sleep: float = 0.0):
    """simple_spread, whose step takes `sleep` seconds longer."""
    env = simple_spread_v3.parallel_env(max_cycles=STEPS)
    step = env.step

    def slow(actions):
        time.sleep(sleep)
        return step(actions)

    if sleep:
        env.step = slow
    return env


def wrapped(sleep: float) -> PettingZooWrapper:
    env = spread(sleep)
    return PettingZooWrapper(
        env, group_map={"agents": list(env.possible_agents)}, categorical_actions=True
    )


def bare(envs: list, action: torch.Tensor) -> None:
    names = envs[0].possible_agents
    for env in envs:
        env.reset()
    for row in action.tolist():
        for env, mine in zip(envs, row, strict=True):
            env.step(dict(zip(names, mine, strict=True)))


def torchrl(env: EnvBase, action: torch.Tensor) -> None:
    td = env.reset()
    for a in action:
        td.set(("agents", "action"), a)
        td = env.step_and_maybe_reset(td)[1]


def best_ms(f, times: int = 3) -> float:
    """Milliseconds of wall clock per step of all copies."""
    f()
    best = float("inf")
    for _ in range(times):
        started = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - started)
    return 1e3 * best / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument(
        "--sleep", type=float, default=0.0, help="[ms] more for every step of every copy"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    make = functools.partial(spread, args.sleep / 1e3)
    action = torch.randint(5, (STEPS, args.copies, 3), generator=torch.Generator().manual_seed(0))
    envs = [make() for _ in range(args.copies)]
    rows = {"bare loop": best_ms(lambda: bare(envs, action))}
    for workers in (0, *args.workers):
        env = PettingZoo(make, num_envs=args.copies, seed=0, workers=workers)
        rows[f"ilvf, {f'{workers} workers' if workers else 'this process'}"] = best_ms(
            lambda: torchrl(env, action)
        )
        env.close()
    serial = SerialEnv(args.copies, functools.partial(wrapped, args.sleep / 1e3))
    rows["TorchRL, SerialEnv"] = best_ms(lambda: torchrl(serial, action), times=1)
    print(
        f"simple_spread, {args.copies} copies; ms per step of all, and steps/s of one environment after another"
    )
    for name, ms in rows.items():
        print(f"  {name:<20} {ms:8.2f} {1e3 * args.copies / ms:9.0f}")


if __name__ == "__main__":
    main()
