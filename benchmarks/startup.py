"""Processor time from the command `ilvf train ilvf_p` to its first iteration, by parts.

python benchmarks/startup.py            seven turns, one thread

Every turn is two new processes: one as a command starts, and one without `ilvf.starting`. They
import the libraries one after the other, and what a library imports counts for it. The store
exists, but for the last line, which is the start of a run whose store is new.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import argument_parser

LIBRARIES = ("torch", "tensordict", "lightning", "torchrl.collectors", "mlflow.tracking")
WORDS = ("trainer.progress=false", "trainer.animation=false", "trainer.accelerator=cpu")
CHILD = "--child"
Parts = dict[str, float]  # part → processor seconds


def start(quick: bool, out: str) -> None:
    """Start a run as the command does, print its parts as json, and end before it trains."""
    import ilvf.starting

    if not quick:
        ilvf.starting.starting = contextlib.nullcontext
    marks = {"interpreter": time.process_time()}
    from ilvf.commands.train import command_line, training_schema

    config = command_line(training_schema("ilvf_p"), [*WORDS, f"out={out}"])
    marks["config"] = time.process_time()
    with ilvf.starting.starting():
        for library in LIBRARIES:
            __import__(library)
            marks[library] = time.process_time()
        from lightning.pytorch import Callback

        from ilvf.experiment.run import train
    marks["ilvf"] = time.process_time()

    class First(Callback):
        def on_train_start(self, *_: object) -> None:
            marks["set-up, store and trainer"] = time.process_time()
            print(json.dumps(marks), flush=True)
            os._exit(0)

    train(config, [First()])


def parts_of(quick: bool, out: Path) -> Parts:
    """The parts of one start in a new process."""
    command = [sys.executable, __file__, CHILD, str(int(quick)), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    marks = json.loads(done.stdout.splitlines()[-1])
    before = [0.0, *marks.values()]
    return {name: end - before[k] for k, (name, end) in enumerate(marks.items())}


def medians(turns: list[Parts]) -> Parts:
    """The median of each part, and of the sum."""
    found = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    return {**found, "all": statistics.median(sum(turn.values()) for turn in turns)}


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--turns", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        new = sum(parts_of(True, out).values())
        turns = [(parts_of(True, out), parts_of(False, out)) for _ in range(args.turns)]
    quick, plain = (medians(list(found)) for found in zip(*turns, strict=True))
    print("processor seconds            | start | without ilvf.starting")
    for name, seconds in quick.items():
        print(f"{name:28s} | {seconds:5.2f} | {plain[name]:5.2f}")
    print(f"{'all, with a new store':28s} | {new:5.2f} |")


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        start(sys.argv[2] == "1", sys.argv[3])
    else:
        main()
