"""V of a large team, forward and backward: own first layers, O(N²·D·H) per state, and shared, O(N·D·H + N²·H).

    python benchmarks/large_teams.py          n = 50, 100, 200; D = 8, H = 64, 1600 states, one thread

Every case runs in a process of its own, whose peak memory is printed; cases of one n run one after the other.
"""

import argparse
import resource
import subprocess
import sys

import torch

from gemm import best_ms
from ilvf import InfluenceCritic
from ilvf.experiment.memory import keep_memory

STATES, D, H, A = 1600, 8, 64, 5


def measure(n: int, shared: bool) -> None:
    """Print milliseconds and GiB of V's forward and backward through the attention."""
    keep_memory()
    torch.set_num_threads(1)
    critic = InfluenceCritic(n, D, A, hidden=H, shared_first=shared)
    state = torch.randn(STATES, n, D)
    weight = torch.rand(STATES, n, n, requires_grad=True)

    def run() -> None:
        critic.zero_grad()
        weight.grad = None
        critic.value.after_first(critic.first.value(state, weight)).sum().backward()

    ms = best_ms(run, repeats=3, warmup=1)
    print(ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, nargs="*", default=[50, 100, 200])
    parser.add_argument("--measure", nargs=2, metavar=("N", "SHARED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(int(args.measure[0]), args.measure[1] == "True")
        return
    print(f"V forward + backward, {STATES} states, D={D}, H={H}, one thread")
    print("   n |  own [ms]   GiB | shared [ms]   GiB | own / shared")
    for n in args.agents:
        rows = []
        for shared in (False, True):
            command = [sys.executable, __file__, "--measure", str(n), str(shared)]
            rows.append([float(x) for x in subprocess.check_output(command, text=True).split()])
        (own, own_gib), (sh, sh_gib) = rows
        print(
            f"{n:4d} | {own:9.0f} {own_gib:5.2f} | {sh:11.0f} {sh_gib:5.2f} | {own / sh:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
