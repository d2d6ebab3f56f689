"""Speed of the environments, and what TorchRL and a policy add to it.

    python benchmarks/envs.py            every environment with 256 and 1024 copies, one thread

An environment step is one step of the whole team in one copy. `_step` is the environment itself; `step` what TorchRL
makes of it (checks, done flags, the next root); `collector` is a rollout of 50 steps with our actor, resets included.
`actor` is its networks and sampling alone, already a part of the collector's time. All run in turn in one process.
"""

import argparse

import torch

from gemm import best_ms
from ilvf import CACC, CapturePrey, CategoricalActor, Encircle
from ilvf.data.rollout import make_collector
from ilvf.experiment.memory import keep_memory

STEPS = 50
ENVS = {  # a new environment is one line here
    "CACC, 8 vehicles": CACC,
    "Encircle, 20 agents": lambda **k: Encircle(20, **k),
    "PCP, 4 + 4 agents": CapturePrey,
}


@torch.no_grad()
def row(make, b: int) -> dict[str, float]:
    """Milliseconds per step of all `b` copies."""
    env = make(num_envs=b, seed=0)
    actor = CategoricalActor(env.n_agents, env.observation_dim, env.n_actions, masked=env.masked)
    td = env.rand_action(env.reset())
    times = {
        name: _per_step(f, td)
        for name, f in (("_step", env._step), ("step", env.step), ("actor", actor))
    }
    rollouts = iter(make_collector(make(num_envs=b, seed=0), actor, STEPS))
    return times | {"collector": best_ms(lambda: next(rollouts), repeats=9) / STEPS}


def _per_step(run, td, chunk: int = 10) -> float:
    """The best of short chunks: a busy machine seldom leaves longer ones alone."""
    return best_ms(lambda: [run(td) for _ in range(chunk)], repeats=60) / chunk


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--envs", type=int, nargs="*", default=[256, 1024], help="numbers of copies"
    )
    parser.add_argument("--only", default="", help="part of an environment's name")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(
        "one thread; ms per step of all copies, and thousands of environment steps/s; ratios of times"
    )
    print(
        f"{'':20} copies |  _step   step  actor  collector | k/s: _step   step  collector | _step / step   / collector"
    )
    for name, make in ENVS.items():
        if args.only.lower() not in name.lower():
            continue
        for b in args.envs:
            t = row(make, b)
            rate = {k: b / v for k, v in t.items()}
            print(
                f"{name:20} {b:6d} | {t['_step']:6.3f} {t['step']:6.3f} {t['actor']:6.3f} {t['collector']:10.3f} |"
                f" {rate['_step']:10.0f} {rate['step']:6.0f} {rate['collector']:10.0f} |"
                f" {t['_step'] / t['step']:12.2f} {t['_step'] / t['collector']:13.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
