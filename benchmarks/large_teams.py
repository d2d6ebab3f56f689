"""Time and memory of an iteration in large teams, by part, and how they grow with the team.

python benchmarks/large_teams.py            all teams, then the figure; some minutes of a free core
python benchmarks/large_teams.py --only "ILVF-S, neighbours" --agents 100 200
python benchmarks/large_teams.py --draw             the figure and the table from the last results

An iteration is 1600 frames of Encircle in 32 environments, 5 epochs of 4 minibatches; one network
for all agents. Seconds are those of the processor, in one thread, of the second of two iterations.
Each case runs in its own process, which reports its peak memory, and is killed above 6 GiB.
"""

import json
import logging
import resource
import subprocess
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import torch

from common import argument_parser
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.memory import keep_memory
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "benchmarks" / "results" / "large_teams.csv"
FIGURE = ROOT / "docs" / "images" / "large_teams.png"
ITERATIONS = 2  # of which the last is measured
LIMIT = 6.0  # [GiB]
LEAST = 0.002  # [s] of a part that is shown
COMMON = ("algorithm.num_envs=32", "algorithm.rollout_steps=50", "algorithm.share=true")
NEAR = "algorithm.neighbours=4"
ALL = "algorithm.shared_first=true"
CASES = {  # title → (algorithm, arguments, largest team of a run without --agents)
    "ILVF-S, neighbours": ("ilvf_s", NEAR, 1000),
    "ILVF-S, by attention": ("ilvf_s", f"{NEAR} algorithm.neighbours_by=attention", 500),
    "ILVF-P, neighbours": ("ilvf_p", NEAR, 1000),
    "ILVF-S, all pairs": ("ilvf_s", ALL, 200),
    "ILVF-P, all pairs": ("ilvf_p", f"{ALL} algorithm.supervision=0", 200),
}
PARTS = ("environment", "acting", "values", "score test", "mixing", "learning")


# ---------------------------------------------------------------------- one process
class Clock:
    """Processor seconds of the calls of some methods, in the present iteration."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def watch(self, owner: Any, method: str) -> None:
        """Add up the seconds of a method's calls under its name."""
        call = getattr(owner, method)

        def timed(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            found = call(*arguments, **options)
            spent = time.process_time() - start
            self.seconds[method] += spent
            return found

        owner.__dict__[method] = timed


def measure(algorithm: str, arguments: list[str]) -> None:
    """Print the seconds of each part of an iteration, as JSON."""
    keep_memory()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    module: Any = build(resolve(training_schema(algorithm), arguments))
    without_evaluation()
    clock = Clock()
    whole = watched(module, clock)
    quiet_trainer(ITERATIONS).fit(module)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({**parts_of(clock.seconds, whole[-1]), "GiB": peak}))


def watched(module: Any, clock: Clock) -> list[float]:
    """Let the clock watch the parts of a module; returns the list of its iterations' seconds."""
    clock.watch(module, "collect")
    clock.watch(module, "measure")
    clock.watch(module.advantage, "forward")
    clock.watch(module.advantage, "mix")
    clock.watch(module.advantage.source, "observe")
    begin, tell, start = module.begin_iteration, module._clock, module.on_fit_start
    began = 0.0
    whole: list[float] = []

    def begins() -> None:
        nonlocal began
        clock.seconds.clear()
        began = time.process_time()
        begin()

    def tells() -> dict[str, float]:
        whole.append(time.process_time() - began)
        return tell()

    def starts() -> None:
        start()
        clock.watch(module.env, "move")
        clock.watch(module.env, "entries")

    module.begin_iteration, module._clock, module.on_fit_start = begins, tells, starts
    return whole


def parts_of(seconds: Mapping[str, float], whole: float) -> dict[str, float]:
    """Seconds of each part, from those of the methods and of the iteration."""
    estimating = seconds["forward"]
    mixing = seconds["mix"] + seconds["measure"]
    environment = seconds["move"] + seconds["entries"]
    return {
        "environment": environment,
        "acting": seconds["collect"] - estimating - seconds["measure"] - environment,
        "values": estimating - seconds["observe"] - seconds["mix"],
        "score test": seconds["observe"],
        "mixing": mixing,
        "learning": whole - seconds["collect"],
        "iteration": whole,
    }


# ---------------------------------------------------------------------- all processes
def measured(title: str, n: int) -> dict[str, float]:
    """`measure` in a new process; nothing but the memory if it was killed."""
    algorithm, argument, _ = CASES[title]
    arguments = [f"env.n_agents={n}", *COMMON, *argument.split()]
    command = [sys.executable, __file__, "--measure", algorithm, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        watch = psutil.Process(process.pid)
        while process.poll() is None:
            if memory_of(watch) > LIMIT:
                process.kill()
                return {"GiB": float("inf")}
            time.sleep(0.05)
        assert process.stdout is not None
        printed = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{title} with {n} agents ended with {process.returncode}")
    return json.loads(printed.splitlines()[-1])


def memory_of(process: psutil.Process) -> float:
    """The resident set of a process [GiB]; 0 when it has ended."""
    try:
        return process.memory_info().rss / 2**30
    except psutil.Error:
        return 0.0


def stored(row: Mapping[str, Any]) -> None:
    """Put a row into the table of results, in place of an older one."""
    rows = pd.DataFrame([row])
    if TABLE.exists():
        old = pd.read_csv(TABLE)
        same = (old["case"] == row["case"]) & (old["agents"] == row["agents"])
        rows = pd.concat([old[~same], rows])
    rows.sort_values(["case", "agents"]).to_csv(TABLE, index=False, float_format="%.4g")


def exponent(agents: np.ndarray, seconds: np.ndarray) -> float:
    """k of the fit seconds ∝ agents^k, by least squares of the logarithms."""
    return float(np.polyfit(np.log(agents), np.log(seconds), 1)[0])


def show(rows: pd.DataFrame) -> None:
    """Print the results, and each part's exponent."""
    names = " | ".join(f"{part:>11}" for part in PARTS)
    print(f"case               |    n |   GiB | {names} | iteration")
    for title, group in rows.groupby("case", sort=False):
        for _, row in group.iterrows():
            cells = " | ".join(f"{row[part]:11.2f}" for part in PARTS)
            whole = row["iteration"]
            print(f"{title:18} | {row['agents']:4d} | {row['GiB']:5.2f} | {cells} | {whole:9.2f}")
        group = group.dropna()
        if len(group) > 1:
            powers = " | ".join(f"{power_of(group, part):>11}" for part in PARTS)
            print(f"{title:18} | exponent     | {powers} | {power_of(group, 'iteration'):>9}")


def power_of(group: pd.DataFrame, part: str) -> str:
    """The exponent of a part in words; "-" for a part that takes no time, or one team."""
    seconds = group[part].to_numpy()
    if len(seconds) < 2 or seconds.min() < LEAST:
        return "-"
    return f"{exponent(group['agents'].to_numpy(), seconds):.2f}"


def draw(rows: pd.DataFrame) -> None:
    """Seconds against agents, one panel for each case."""
    from matplotlib.figure import Figure

    titles = [title for title in CASES if title in set(rows["case"])]
    figure = Figure(figsize=(15, 6), layout="constrained")
    panels = figure.subplots(2, -(-len(titles) // 2), sharex=True, sharey=True, squeeze=False)
    for axes, title in zip(panels.flat, titles, strict=False):
        group = rows[rows["case"] == title].dropna()
        for k, part in enumerate((*PARTS, "iteration")):
            if group[part].min() < LEAST:
                continue
            style = {"color": "black", "lw": 2} if part == "iteration" else {"color": f"C{k}"}
            label = f"{part}: N^{power_of(group, part)}"
            axes.loglog(group["agents"], group[part], "o-", ms=3, label=label, **style)
        axes.set_title(title, fontsize=10)
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
        axes.grid(alpha=0.3)
    for axes in panels.flat[len(titles) :]:
        axes.set_visible(False)
    figure.supxlabel("agents N")
    figure.supylabel("processor seconds of an iteration of 1600 frames")
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, nargs="+", help="sizes of the teams")
    parser.add_argument("--only", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--draw", action="store_true", help="measure nothing")
    arguments = parser.parse_args()
    if not arguments.draw:
        for n in arguments.agents or (100, 200, 500, 1000):
            for title in arguments.only:
                if arguments.agents or n <= CASES[title][2]:
                    stored({"case": title, "agents": n, **measured(title, n)})
                    print(f"{title}, {n} agents", flush=True)
    rows = pd.read_csv(TABLE)
    show(rows)
    draw(rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], sys.argv[3:])
    else:
        main()
