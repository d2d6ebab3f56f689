"""The tables of the speed page in one run, beside those of an older commit.

make bench                        the tables of this tree, on an idle core
make bench OLD=v1.0               those of a commit, a branch or a tag, beside them
python benchmarks/bench.py --old HEAD~5 --turns 1 --only "collect.py --envs 32" update.py

The older commit gets a git worktree in a temporary folder, and its own scripts run on its own
sources in the same environment. Old and new take turns, script by script. Each figure is the median
over the turns; under it is new ÷ old. Scripts, tables and lines of one of the two are shown alone.
`large_teams.py` and `gpu.py` are left out: one writes a figure of the documentation, and the other
needs a GPU.
"""

import argparse
import contextlib
import math
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from common import argument_parser

ROOT = Path(__file__).parents[1]
SCRIPTS = (
    "collect.py",
    "startup.py",
    "envs.py",
    "update.py",
    "first_layers.py",
    "attention_share.py",
    "score_cost.py",
    "traffic.py",
)
LARGE = 1000  # figures from here on have no decimals, and never an exponent
Lines = dict[tuple[str, str, int], str]
NUMBER = re.compile(r" *(?<![\w.])\d+(?:\.\d+)?(?!\w)")  # with the spaces before it


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--old", metavar="COMMIT", help="to measure beside this tree")
    parser.add_argument("--turns", type=int, default=2, help="of each script, with --old")
    parser.add_argument("--only", nargs="+", default=SCRIPTS, help="scripts, with their options")
    arguments = parser.parse_args()
    failed = compare(arguments) if arguments.old else show(arguments.only)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


def show(commands: list[str]) -> list[str]:
    """Run scripts of this tree; returns those that failed."""
    failed = []
    for command in commands:
        print(f"\n{command}", flush=True)
        if subprocess.run(**process_of(ROOT, command), check=False).returncode:
            failed.append(command)
    return failed


def compare(arguments: argparse.Namespace) -> list[str]:
    """Run scripts of both trees and print their lines; returns those that failed."""
    failed = []
    with worktree(arguments.old) as old:
        for command in arguments.only:
            print(f"\n{command}: {arguments.old} beside this tree", flush=True)
            if not Path(old, "benchmarks", shlex.split(command)[0]).exists():
                print(f"  {arguments.old} does not have it; this tree alone:")
                failed += show_lines(command)
                continue
            turns = [
                (printed(old, command), printed(ROOT, command)) for _ in range(arguments.turns)
            ]
            before, now = zip(*turns, strict=True)
            if not all(before) or not all(now):
                failed.append(command)
            for line in side_by_side(merged(before), merged(now)):
                print(line, flush=True)
    return failed


def show_lines(command: str) -> list[str]:
    """Run a script that is in this tree alone; returns it if it failed."""
    lines = printed(ROOT, command)
    for line in lines:
        print(f"      {line}", flush=True)
    return [] if lines else [command]


# ---------------------------------------------------------------------- processes
@contextlib.contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit, as long as it is needed."""
    git = ["git", "-C", str(ROOT)]
    known = [*git, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}"]
    found = subprocess.run(known, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"OLD={commit} is no commit, branch or tag of the repository {ROOT}")
    with tempfile.TemporaryDirectory(prefix="ilvf-old-") as folder:
        place = Path(folder, "tree")
        add = [*git, "worktree", "add", "--quiet", "--detach", str(place), found.stdout.strip()]
        subprocess.run(add, check=True)
        try:
            yield place
        finally:
            subprocess.run([*git, "worktree", "remove", "--force", str(place)], check=False)


def process_of(tree: Path, command: str) -> dict:
    """Arguments of `subprocess.run` for a script of a tree, on the sources of that tree."""
    script, *options = shlex.split(command)
    return {
        "args": [sys.executable, str(tree / "benchmarks" / script), *options],
        "cwd": tree,
        "env": {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"},
    }


def printed(tree: Path, command: str) -> list[str]:
    """The lines that a script prints; none if it fails."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    found = subprocess.run(**process_of(tree, command), **pipes, check=False)
    if found.returncode:
        last = found.stderr.strip().rpartition("\n")[2]
        print(f"  {tree.name}: it ended with {found.returncode}: {last}")
        return []
    return [line for line in found.stdout.splitlines() if line.strip()]


# ---------------------------------------------------------------------- lines
def by_place(lines: list[str]) -> Lines:
    """Lines under the head of their table, their words, and their number among the same ones."""
    count: Counter[tuple[str, str]] = Counter()
    found = {}
    head = ""
    for line in lines:
        words = "".join(NUMBER.sub("#", line).split())
        if "|" in line and not NUMBER.search(line):
            head = words
        found[head, words, count[head, words]] = line
        count[head, words] += 1
    return found


def merged(turns: Sequence[list[str]]) -> Lines:
    """The lines of some turns, each figure the median over the turns."""
    first, *others = map(by_place, turns)
    found = {}
    for place, line in first.items():
        same = [line, *(other[place] for other in others if place in other)]
        found[place] = combined(line, same, statistics.median)
    return found


def combined(line: str, lines: list[str], combine: Callable[[list[float]], float]) -> str:
    """A line whose figures are combined of those of several; what is equal in all stays."""
    figures = zip(*(NUMBER.findall(one) for one in lines), strict=True)

    def text(found: re.Match[str]) -> str:
        same = next(figures)
        if len({x.strip() for x in same}) == 1 and "." not in same[0]:
            return found[0]
        value = combine(list(map(float, same)))
        figure = f"{value:.4g}" if value < LARGE else f"{value:.0f}"
        space = " " * found[0].startswith(" ")
        return (space + figure).rjust(len(found[0]))

    return NUMBER.sub(text, line)


def side_by_side(before: Lines, now: Lines) -> Iterator[str]:
    """Lines of both: the old one, the new one, and new ÷ old; once if they are the same."""
    for place, line in now.items():
        old = before.get(place, line)
        if old == line:
            yield f"      {line}"
            continue
        yield f"old   {old}"
        yield f"new   {line}"
        yield f"ratio {combined(line, [old, line], ratio)}"
    for place, line in before.items():
        if place not in now:
            yield f"old   {line}"


def ratio(pair: list[float]) -> float:
    """New ÷ old."""
    old, new = pair
    return round(new / old, 2) if old else math.nan


if __name__ == "__main__":
    main()
