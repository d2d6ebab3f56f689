"""Time and memory of V's forward and backward pass in large teams.

python benchmarks/first_layers.py         n = 50, 100, 200; D = 8, H = 64, 1600 states, one thread

Each agent's critic has a first layer of its own, which costs O(N²·D·H) per state, or all share one,
which costs O(N·D·H + N²·H). Each case runs in its own process, which reports its peak memory.
"""

import argparse
import resource
import subprocess
import sys

import torch

from common import argument_parser, best_ms
from ilvf import InfluenceCritic
from ilvf.experiment.memory import keep_memory

STATES = 1600
STATE_DIM = 8  # D, of each agent
HIDDEN = 64  # H
ACTIONS = 5


def measure(n: int, shared: bool) -> None:
    """Print the milliseconds of V's forward and backward pass, and the peak memory in GiB."""
    keep_memory()
    torch.set_num_threads(1)
    critic = InfluenceCritic(n, STATE_DIM, ACTIONS, hidden=HIDDEN, shared_first=shared)
    state = torch.randn(STATES, n, STATE_DIM)
    weight = torch.rand(STATES, n, n, requires_grad=True)

    def run() -> None:
        critic.zero_grad()
        weight.grad = None
        critic.value.after_first(critic.first.value(state, weight)).sum().backward()

    ms = best_ms(run, repeats=3, warmup=1)
    print(ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def measured(n: int, shared: bool) -> tuple[float, float]:
    """(milliseconds, GiB) of `measure` in a new process."""
    command = [sys.executable, __file__, "--measure", str(n), str(shared)]
    ms, gib = subprocess.check_output(command, text=True).split()
    return float(ms), float(gib)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, nargs="*", default=[50, 100, 200])
    parser.add_argument("--measure", nargs=2, metavar=("N", "SHARED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(int(args.measure[0]), args.measure[1] == "True")
        return
    print(f"V forward + backward, {STATES} states, D={STATE_DIM}, H={HIDDEN}, one thread")
    print("   n |  own [ms]   GiB | shared [ms]   GiB | own / shared")
    for n in args.agents:
        own, own_gib = measured(n, shared=False)
        shared, shared_gib = measured(n, shared=True)
        print(
            f"{n:4d} | {own:9.0f} {own_gib:5.2f} | {shared:11.0f} {shared_gib:5.2f} |"
            f" {own / shared:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
