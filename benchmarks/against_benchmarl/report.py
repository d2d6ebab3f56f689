"""One figure and one table of the runs of both libraries.

python benchmarks/against_benchmarl/report.py      prints and writes OUT/table.md, draws the figure
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from evaluation import Evaluation, uniform
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats
from tasks import OUT, TASKS

from ilvf.analysis import t_interval

THEIRS = "benchmarl"
EPISODES = 500  # of random actions
LABELS = {
    THEIRS: "BenchMARL",
    "ilvf": "ilvf",
    "ilvf-central": "ilvf, one value",
    "ilvf-plain": "ilvf, plain",
}
PICTURE = Path(__file__).parents[2] / "docs" / "images" / "against_benchmarl.png"
COLUMNS = (
    "task",
    "MAPPO of",
    "final return of every seed",
    "mean ± sd",
    "ours − theirs, 95 %",
    "verdict",
    "whole curve, ours − theirs",
    "frames per CPU s",
)

Curves = dict[str, pd.DataFrame]  # of one task: form → returns, frames × seeds


def read(out: Path, task: str) -> tuple[Curves, dict[str, float]]:
    """(returns, frames per CPU second) of the forms that have runs of this task."""
    returns: dict[str, list[pd.Series]] = {}
    speeds: dict[str, list[float]] = {}
    for path in sorted(out.glob(f"{task}.*.csv")):
        _, form, seed, _ = path.name.split(".")
        run = pd.read_csv(path, index_col="frames")
        returns.setdefault(form, []).append(run["return"].rename(int(seed)))
        speeds.setdefault(form, []).append(run.index[-1] / run["cpu_s"].iloc[-1])
    require_equal_frames(out, task, returns)
    curves = {}
    for form in LABELS:
        if form in returns:
            curves[form] = pd.concat(returns[form], axis=1).sort_index(axis=1)
    return curves, {form: sum(values) / len(values) for form, values in speeds.items()}


def require_equal_frames(out: Path, task: str, returns: dict[str, list[pd.Series]]) -> None:
    """Exit unless all runs of a task were evaluated after the same numbers of frames."""
    frames = {tuple(run.index) for runs in returns.values() for run in runs}
    if len(frames) > 1:
        raise SystemExit(
            f"{out}: runs of {task} were evaluated at different frames; "
            "delete those of other settings"
        )


# ---------------------------------------------------------------------- statistics
def final(curves: pd.DataFrame) -> pd.Series:
    """For each seed, the mean over the last fifth of its evaluations."""
    last = max(1, len(curves) // 5)
    return curves.iloc[-last:].mean()


def difference(ours: pd.Series, theirs: pd.Series) -> tuple[float, float, float]:
    """Ours minus theirs: difference of the means, and Welch's 95 % interval."""
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return ours.mean() - theirs.mean(), float(interval.low), float(interval.high)


def verdict(low: float, high: float) -> str:
    """In words, whether an interval of the difference is above or below 0."""
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference"


# ---------------------------------------------------------------------- the table
def rows(task: str, curves: Curves, speeds: dict[str, float]) -> list[str]:
    """The lines of one task."""
    lines = []
    for form, runs in curves.items():
        last = final(runs)
        cells = [
            task,
            LABELS[form],
            ", ".join(f"{value:.1f}" for value in last),
            f"{last.mean():.1f} ± {last.std():.1f}",
        ]
        if form == THEIRS or THEIRS not in curves:
            cells += ["", "", ""]
        else:
            cells += compared(runs, curves[THEIRS])
        cells.append(f"{speeds[form]:.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def compared(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[str]:
    """Difference at the end, verdict, and difference over the whole curve."""
    end = difference(final(ours), final(theirs))
    whole = difference(ours.mean(), theirs.mean())
    style = "{:+.1f} [{:+.1f}, {:+.1f}]"
    return [style.format(*end), verdict(*end[1:]), style.format(*whole)]


def random_row(out: Path, task: str) -> str:
    """Returns of random actions from three sources, which must agree.

    They come from the evaluation and from the training environments of both libraries.
    """
    samples = {"evaluation": Evaluation(task, 0, EPISODES)(uniform(task))}
    for path in sorted(out.glob(f"{task}.*.random.json")):
        label = LABELS[path.name.split(".")[1]]
        samples[f"environments of {label}"] = json.loads(path.read_text())
    cells = []
    for name, values in samples.items():
        low, high = t_interval(values)
        cells.append(f"{name} {sum(values) / len(values):.1f} [{low:.1f}, {high:.1f}]")
    return f"Random actions, {task}, mean and 95 %: {'; '.join(cells)}."


# ---------------------------------------------------------------------- the figure
def picture(found: dict[str, Curves]) -> Figure:
    """Returns over frames, one panel a task."""
    figure = Figure(figsize=(5 * len(found), 3.8), layout="constrained")
    panels = figure.subplots(1, len(found), squeeze=False)[0]
    for axes, (task, curves) in zip(panels, found.items(), strict=True):
        axes.set(title=task, xlabel="environment frames", ylabel="return of the team")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        for form, runs in curves.items():
            draw_curve(axes, runs, f"{LABELS[form]} ({runs.shape[1]} seeds)")
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    return figure


def draw_curve(axes: Axes, runs: pd.DataFrame, label: str) -> None:
    """The mean over seeds, with its 95 % interval."""
    (line,) = axes.plot(runs.index, runs.mean(axis=1), label=label)
    intervals = [t_interval(row.tolist()) for _, row in runs.iterrows()]
    low, high = zip(*intervals, strict=True)
    axes.fill_between(runs.index, low, high, color=line.get_color(), alpha=0.15, lw=0)


def report(out: Path, target: Path, tasks: Sequence[str]) -> str:
    """Write `out/table.md` and the figure `target`; returns the text of the table."""
    found = {}
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    for task in tasks:
        curves, speeds = read(out, task)
        found[task] = curves
        lines += rows(task, curves, speeds)
    lines += ["", *(random_row(out, task) for task in tasks)]
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text)
    picture(found).savefig(target, dpi=120)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    tasks = [task for task in TASKS if any(args.out.glob(f"{task}.*.csv"))]
    if not tasks:
        raise SystemExit(f"{args.out} has no runs; ours.py and theirs.py make them")
    print(report(args.out, args.picture, tasks))


if __name__ == "__main__":
    main()
