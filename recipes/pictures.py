"""Everything that is drawn: learning curves, influence heatmaps, episodes."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ilvf.experiment.tracking import METRICS, read_rows


class Pictures(Callback):
    """Stored with the run: at every evaluation the influence heatmap and the first episode; at the end the curve, and
    the first episode of the last evaluation as an animation, if the environment has `animate`.
    """

    def __init__(self) -> None:
        self.last: tuple[Any, Any, str] | None = None  # environment, first episode, frames

    def on_evaluation(self, trainer: Any, module: Any, env: Any, rollout: Any) -> None:
        if not trainer.is_global_zero or trainer.logger is None:
            return
        frames = f"{module.frames:08d}"
        if getattr(module, "attention", None) is not None:
            truths = {
                k: getattr(env, g).cpu()
                for k, g in (
                    ("reward graph", "reward_graph"),
                    ("all that can matter", "value_graph"),
                )
                if hasattr(env, g)
            }
            trainer.logger.figure(
                heatmap(module.attention.cpu(), truths, module.frames), f"influence-{frames}.png"
            )
        if hasattr(env, "draw"):
            trainer.logger.figure(env.draw(rollout), f"episode-{frames}.png")
        if hasattr(env, "animate"):
            self.last = env, rollout[:1].clone(), frames

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        if trainer.is_global_zero and trainer.logger is not None:
            trainer.logger.figure(
                learning_curve(trainer.logger.run_dir / METRICS), "learning-curve.png"
            )
            if self.last is not None:
                env, episode, frames = self.last
                path = trainer.logger.run_dir / "pictures" / f"episode-{frames}.gif"
                env.animate(episode, path)
                trainer.logger.artifact(path, "pictures")


def heatmap(attention: Any, truths: dict[str, Any], frames: int) -> Figure:
    """The attention w `[N, N]`, row = critic, beside the graphs that it should find."""
    figure = Figure(figsize=(3.6 * (1 + len(truths)), 3.6), layout="constrained")
    axes = figure.subplots(1, 1 + len(truths), squeeze=False)[0]
    for axis, (title, matrix) in zip(
        axes, {f"attention w after {frames} frames": attention, **truths}.items(), strict=True
    ):
        image = axis.imshow(matrix.float().numpy(), vmin=0, vmax=1, cmap="viridis")
        axis.set(title=title, xlabel="state of agent j", ylabel="value of agent i")
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.colorbar(image, ax=axes, shrink=0.8)
    return figure


def learning_curve(path: Path) -> Figure:
    """Training and evaluation reward of one run against environment frames."""
    rows = read_rows(path)
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="environment frames", ylabel="reward per agent and step")
    for key, label, style in (
        ("reward/agent_step", "training", "-"),
        ("eval/reward/agent_step", "evaluation", "o"),
    ):
        points = [(r["frames"], r[key]) for r in rows if key in r]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def comparison(groups: dict[str, Any], metric: str) -> Figure:
    """Mean learning curve of every group with its 95 % t interval over seeds."""
    import matplotlib
    import pandas as pd

    from ilvf.analysis import t_interval

    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="environment frames", ylabel=metric)
    axes.set_prop_cycle(
        color=matplotlib.colormaps["tab10" if len(groups) <= 10 else "tab20"].colors
    )
    for label, curves in groups.items():
        table = pd.concat(curves, axis=1).dropna()
        (line,) = axes.plot(table.index, table.mean(axis=1), label=f"{label} ({len(curves)} seeds)")
        if len(curves) > 1:
            band = [t_interval(row.tolist()) for _, row in table.iterrows()]
            axes.fill_between(
                table.index, *zip(*band, strict=True), color=line.get_color(), alpha=0.15, lw=0
            )
    figure.legend(fontsize=8, loc="outside right upper")
    axes.grid(alpha=0.3)
    return figure
