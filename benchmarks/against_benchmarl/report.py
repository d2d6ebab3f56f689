"""The runs of both sides in one figure and one table.

python benchmarks/against_benchmarl/report.py           prints and writes OUT/table.md, draws the figure
"""

import argparse
import json
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy import stats
from tasks import OUT, TASKS, Evaluation, uniform

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
)
MORE = ("whole curve, ours − theirs", "frames per CPU s")

Curves = dict[str, pd.DataFrame]  # of one task: side → returns, frames × seeds


def read(out: Path, task: str) -> tuple[Curves, dict[str, float]]:
    """(returns, frames per CPU second) of the sides that have runs of this task."""
    returns: dict[str, list[pd.Series]] = {}
    speeds: dict[str, list[float]] = {}
    for path in sorted(out.glob(f"{task}.*.csv")):
        _, side, seed, _ = path.name.split(".")
        run = pd.read_csv(path, index_col="frames")
        returns.setdefault(side, []).append(run["return"].rename(int(seed)))
        speeds.setdefault(side, []).append(run.index[-1] / run["cpu_s"].iloc[-1])
    if len({tuple(run.index) for runs in returns.values() for run in runs}) > 1:
        raise SystemExit(
            f"{out}: runs of {task} were evaluated at different frames; delete those of other settings"
        )
    curves = {
        side: pd.concat(returns[side], axis=1).sort_index(axis=1)
        for side in LABELS
        if side in returns
    }
    return curves, {side: sum(v) / len(v) for side, v in speeds.items()}


def final(curves: pd.DataFrame) -> pd.Series:
    """Of every seed: mean over the last fifth of its evaluations."""
    return curves.iloc[-max(1, len(curves) // 5) :].mean()


def difference(ours: pd.Series, theirs: pd.Series) -> tuple[float, float, float]:
    """Ours minus theirs: of the means, and Welch's 95 % interval."""
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return ours.mean() - theirs.mean(), float(interval.low), float(interval.high)


def verdict(low: float, high: float) -> str:
    return "better" if low > 0 else "worse" if high < 0 else "no difference"


def rows(task: str, curves: Curves, speeds: dict[str, float]) -> list[str]:
    lines = []
    for side, runs in curves.items():
        last = final(runs)
        cells = [
            task,
            LABELS[side],
            ", ".join(f"{v:.1f}" for v in last),
            f"{last.mean():.1f} ± {last.std():.1f}",
        ]
        if side == THEIRS or THEIRS not in curves:
            cells += ["", "", ""]
        else:
            end, whole = (
                difference(last, final(curves[THEIRS])),
                difference(runs.mean(), curves[THEIRS].mean()),
            )
            cells += ["{:+.1f} [{:+.1f}, {:+.1f}]".format(*end), verdict(*end[1:])]
            cells += ["{:+.1f} [{:+.1f}, {:+.1f}]".format(*whole)]
        lines.append(f"| {' | '.join([*cells, f'{speeds[side]:.0f}'])} |")
    return lines


def random_row(out: Path, task: str) -> str:
    """Returns of random actions in three places that must agree: the evaluation and the environments of either side."""
    samples = {"evaluation": Evaluation(task, 0, EPISODES)(uniform(task))}
    for path in sorted(out.glob(f"{task}.*.random.json")):
        samples[f"environments of {LABELS[path.name.split('.')[1]]}"] = json.loads(path.read_text())
    cells = [
        "{} {:.1f} [{:.1f}, {:.1f}]".format(k, sum(v) / len(v), *t_interval(v))
        for k, v in samples.items()
    ]
    return f"Random actions, {task}, mean and 95 %: {'; '.join(cells)}."


def picture(found: dict[str, Curves]) -> Figure:
    figure = Figure(figsize=(5 * len(found), 3.8), layout="constrained")
    for axes, (task, curves) in zip(
        figure.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True
    ):
        axes.set(title=task, xlabel="environment frames", ylabel="return of the team")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        for side, runs in curves.items():
            (line,) = axes.plot(
                runs.index, runs.mean(axis=1), label=f"{LABELS[side]} ({runs.shape[1]} seeds)"
            )
            band = [t_interval(row.tolist()) for _, row in runs.iterrows()]
            axes.fill_between(
                runs.index, *zip(*band, strict=True), color=line.get_color(), alpha=0.15, lw=0
            )
        axes.legend(loc="lower right")
        axes.grid(alpha=0.3)
    return figure


def report(out: Path, target: Path, tasks: list[str]) -> str:
    """Write `out/table.md` and the figure; the text."""
    found = {task: read(out, task) for task in tasks}
    lines = [f"| {' | '.join(COLUMNS + MORE)} |", "|" + " --- |" * len(COLUMNS + MORE)]
    lines += [line for task, what in found.items() for line in rows(task, *what)]
    lines += ["", *(random_row(out, task) for task in tasks)]
    text = "\n".join(lines) + "\n"
    (out / "table.md").write_text(text)
    picture({task: curves for task, (curves, _) in found.items()}).savefig(target, dpi=120)
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    args = parser.parse_args()
    there = [task for task in TASKS if any(args.out.glob(f"{task}.*.csv"))]
    if not there:
        raise SystemExit(f"{args.out} has no runs; ours.py and theirs.py make them")
    print(report(args.out, args.picture, there))


if __name__ == "__main__":
    main()
