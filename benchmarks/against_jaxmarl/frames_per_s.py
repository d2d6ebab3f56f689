"""MAPPO of this library beside IPPO of JaxMARL: frames per second of one core.

    python -m venv JAX
    JAX/bin/pip install jaxmarl distrax hydra-core omegaconf wandb matplotlib
    git clone https://github.com/FLAIROx/JaxMARL
    python benchmarks/against_jaxmarl/frames_per_s.py --python JAX/bin/python --checkout JaxMARL

Both train 32 environments of MPE for 50 steps an iteration, 15 epochs of one minibatch, with two
hidden layers of 64 units. JaxMARL plays `simple_spread`, with one network for all agents, whose
critic reads the agent's observation. Ours plays Encircle, on the same physics; its critics read the
state of the whole team, with a network for each agent, or one for all (`algorithm.share=true`).

Both take turns on one core; the table has medians. Compiling is not counted, and of ours the first
iteration, which allocates memory.
"""

import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from common import argument_parser

HERE = Path(__file__).parent
OURS = {"MAPPO": (), "MAPPO, shared": ("algorithm.share=true",)}
HEAD = f"{'n':>4s} | {'JaxMARL IPPO':>13s}" + "".join(f" | {name:>14s} ratio" for name in OURS)


def rate(command: list[str], core: int) -> float:
    """The number in the last line of a command's output, run on one core."""
    pinned = ["taskset", "-c", str(core)] if shutil.which("taskset") else []
    one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(
        [*pinned, *command], capture_output=True, text=True, env={**os.environ, **one}
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def row(n: int, arguments) -> str:
    """A line of the table."""
    iterations = str(max(3, arguments.iterations * 4 // n))
    theirs = [arguments.python, str(HERE / "theirs.py"), arguments.checkout, str(n), iterations]
    commands = [theirs]
    for options in OURS.values():
        commands.append([sys.executable, str(HERE / "ours.py"), str(n), iterations, *options])
    turns = [
        [rate(command, arguments.core) for command in commands] for _ in range(arguments.turns)
    ]
    jax, *ours = (statistics.median(found) for found in zip(*turns, strict=True))
    return f"{n:4d} | {jax:13.0f}" + "".join(
        f" | {found:14.0f} {found / jax:5.2f}" for found in ours
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--python", required=True, help="of the environment with JaxMARL")
    parser.add_argument("--checkout", required=True, help="JaxMARL's repository")
    parser.add_argument("--agents", type=int, nargs="*", default=[4, 20])
    parser.add_argument("--iterations", type=int, default=20, help="with 4 agents; fewer with more")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--core", type=int, default=0, help="where both run")
    arguments = parser.parse_args()
    print("frames of the team per second of one core; ratio: ours ÷ JaxMARL")
    print(HEAD)
    for n in arguments.agents:
        print(row(n, arguments), flush=True)


if __name__ == "__main__":
    main()
