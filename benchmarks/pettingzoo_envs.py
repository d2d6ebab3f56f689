"""Cost of a PettingZoo environment: the bare loop, `ilvf.envs.PettingZoo`, and TorchRL's wrapper.

python benchmarks/pettingzoo_envs.py               simple_spread, 32 copies, one thread
python benchmarks/pettingzoo_envs.py --sleep 2     each step of each copy takes 2 ms longer

The bare loop resets and steps the copies and converts nothing. TorchRL's wrapper cannot reset
single copies, so all copies end together. All variants run in turn in one process with the same
actions. Each time is the best of three.
"""

import functools
import time
import warnings
from collections.abc import Callable

import torch
from mpe2 import simple_spread_v3
from torchrl.envs import EnvBase, PettingZooWrapper, SerialEnv

from common import argument_parser, best_ms
from ilvf.envs import PettingZoo

COPIES = 32
STEPS = 25


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
    agents = {"agents": list(env.possible_agents)}
    return PettingZooWrapper(env, group_map=agents, categorical_actions=True)


def bare(envs: list, actions: torch.Tensor) -> None:
    """One episode of all copies, without any conversion."""
    names = envs[0].possible_agents
    for env in envs:
        env.reset()
    for row in actions.tolist():
        for env, chosen in zip(envs, row, strict=True):
            env.step(dict(zip(names, chosen, strict=True)))


def torchrl(env: EnvBase, actions: torch.Tensor) -> None:
    """One episode of all copies in a TorchRL environment."""
    td = env.reset()
    for action in actions:
        td.set(("agents", "action"), action)
        td = env.step_and_maybe_reset(td)[1]


def step_ms(episode: Callable[[], object]) -> float:
    """Milliseconds per step of all copies."""
    return best_ms(episode, 3, warmup=1) / STEPS


def variants(copies: int, sleep: float, workers: list[int]) -> dict[str, float]:
    """`step_ms` of every variant, by its name."""
    make = functools.partial(spread, sleep)
    generator = torch.Generator().manual_seed(0)
    actions = torch.randint(5, (STEPS, copies, 3), generator=generator)
    envs = [make() for _ in range(copies)]
    times = {"bare loop": step_ms(functools.partial(bare, envs, actions))}
    for number in (0, *workers):
        env = PettingZoo(make, num_envs=copies, seed=0, workers=number)
        place = f"{number} workers" if number else "this process"
        times[f"ilvf, {place}"] = step_ms(functools.partial(torchrl, env, actions))
        env.close()
    serial = SerialEnv(copies, functools.partial(wrapped, sleep))
    times["TorchRL, SerialEnv"] = step_ms(functools.partial(torchrl, serial, actions))
    return times


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--sleep", type=float, default=0.0, help="[ms] added to each step")
    parser.add_argument("--workers", type=int, nargs="*", default=[2])
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    print(f"simple_spread, {args.copies} copies; ms per step of all copies, steps/s of single ones")
    for name, ms in variants(args.copies, args.sleep / 1e3, args.workers).items():
        print(f"  {name:<20} {ms:8.2f} {1e3 * args.copies / ms:9.0f}")


if __name__ == "__main__":
    main()
