"""Speed of the environments, and what TorchRL and a policy add to it.

python benchmarks/envs.py            every environment with 256 and 1024 copies, one thread

An environment step is one step of the whole team in one copy.

    _step      the environment itself
    step       TorchRL's step around it: checks, done flags, the next root
    actor      the networks and the sampling of actions; a part of the collector's time
    collector  a rollout of 50 steps with our actor, resets included

All run in turn in one process.
"""

import functools
from collections.abc import Callable

import torch

from common import argument_parser, best_ms
from ilvf import CACC, CapturePrey, CategoricalActor, Encircle
from ilvf.data.rollout import make_collector
from ilvf.experiment.memory import keep_memory

STEPS = 50
ENVS = {  # a new environment is one line here
    "CACC, 8 vehicles": CACC,
    "Encircle, 20 agents": functools.partial(Encircle, 20),
    "PCP, 4 + 4 agents": CapturePrey,
}
HEAD = (
    f"{'':20} copies |  _step   step  actor  collector |"
    " k/s: _step   step  collector | _step / step   / collector"
)


@torch.no_grad()
def times(make: Callable, copies: int) -> dict[str, float]:
    """Milliseconds per step of all copies, for each part."""
    env = make(num_envs=copies, seed=0)
    actor = CategoricalActor(env.n_agents, env.observation_dim, env.n_actions, masked=env.masked)
    td = env.rand_action(env.reset())
    found = {
        "_step": per_step(env._step, td),
        "step": per_step(env.step, td),
        "actor": per_step(actor, td),
    }
    rollouts = iter(make_collector(make(num_envs=copies, seed=0), actor, STEPS))
    found["collector"] = best_ms(lambda: next(rollouts), repeats=9) / STEPS
    return found


def per_step(run: Callable, td, chunk: int = 10) -> float:
    """Milliseconds of one call, the best of many short chunks.

    On a busy machine, a short chunk is more likely to run undisturbed than a long one.
    """

    def several() -> None:
        for _ in range(chunk):
            run(td)

    return best_ms(several, repeats=60) / chunk


def row(name: str, copies: int, ms: dict[str, float]) -> str:
    """A line of the table."""
    rate = {part: copies / value for part, value in ms.items()}  # thousands per second
    return (
        f"{name:20} {copies:6d} |"
        f" {ms['_step']:6.3f} {ms['step']:6.3f} {ms['actor']:6.3f} {ms['collector']:10.3f} |"
        f" {rate['_step']:10.0f} {rate['step']:6.0f} {rate['collector']:10.0f} |"
        f" {ms['_step'] / ms['step']:12.2f} {ms['_step'] / ms['collector']:13.2f}"
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--envs", type=int, nargs="*", default=[256, 1024], help="copies")
    parser.add_argument("--only", default="", help="part of an environment's name")
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    print(
        "one thread; ms per step of all copies, thousands of environment steps/s, ratios of times"
    )
    print(HEAD)
    for name, make in ENVS.items():
        if args.only.lower() not in name.lower():
            continue
        for copies in args.envs:
            print(row(name, copies, times(make, copies)), flush=True)


if __name__ == "__main__":
    main()
