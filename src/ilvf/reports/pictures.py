"""Pictures of a training run: learning curve, influence heatmaps, episodes."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torch import Tensor

from ilvf.algorithms.evaluating import EvaluationCallback
from ilvf.envs.names import AgentNames, names_of
from ilvf.experiment.config import Config
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.reports.drawing import COLOURS
from ilvf.reports.matrices import Panel, draw_influence
from ilvf.reports.matrices_file import MATRICES, write_matrices
from ilvf.reports.titles import run_title

GRAPHS = {  # attribute of an environment: title
    "reward_graph": "reward graph",
    "value_graph": "all influence that is possible",
}
REWARDS = {  # metric: label and line style of the learning curve
    "reward/agent_step": ("training", "-"),
    "eval/reward/agent_step": ("evaluation", "o"),
}


class Pictures(EvaluationCallback):
    """Lightning callback that stores pictures with the run.

    At every evaluation: the influence as numbers and as a heatmap, if the algorithm learns one, and
    the first episode, if the environment has `draw`. At the end: the learning curve, and the first
    episode of the last evaluation as an animation, if the environment has `animate`.

    Args:
        animation: draw the animation.
        pictures: draw the heatmaps, episodes and the learning curve; the numbers are always stored.
    """

    def __init__(self, animation: bool, pictures: bool = True) -> None:
        self.animation = animation
        self.pictures = pictures
        self.last: tuple[Any, Any, str] | None = None  # environment, first episode, frames

    def on_evaluation(self, trainer: Any, module: Any, env: Any, rollout: Any) -> None:
        """Store the pictures of an evaluation."""
        if not trainer.is_global_zero or trainer.logger is None:
            return
        frames = f"{module.frames:08d}"
        matrices = module.matrices() if hasattr(module, "matrices") else {}
        if matrices:
            for name, title in GRAPHS.items():
                if hasattr(env, name):
                    matrices[title] = getattr(env, name).T
            agents = names_of(env, env.n_agents)
            write = functools.partial(write_matrices, matrices=matrices, agents=agents)
            trainer.logger.written(write, MATRICES)
            if self.pictures:
                figure = heatmap(matrices, module.frames, title_of(module), agents)
                trainer.logger.figure(figure, f"influence-{frames}.png")
        if self.pictures and hasattr(env, "draw"):
            trainer.logger.figure(env.draw(rollout), f"episode-{frames}.png")
        if self.animation and hasattr(env, "animate"):
            self.last = env, rollout[:1].clone(), frames

    def on_fit_end(self, trainer: Any, module: Any) -> None:
        """Store the learning curve and the animation."""
        if not trainer.is_global_zero or trainer.logger is None:
            return
        if self.pictures:
            curve = learning_curve(trainer.logger.run_dir / METRICS, title_of(module))
            trainer.logger.figure(curve, "learning-curve.png")
        if self.last is None:
            return
        env, episode, frames = self.last
        write = functools.partial(env.animate, episode)
        trainer.logger.written(write, f"pictures/episode-{frames}.gif")


def pictures_of(config: Config) -> Pictures:
    """The pictures that the config of a run asks for."""
    return Pictures(config.trainer.animation, config.trainer.pictures)


def title_of(module: Any) -> str:
    """`ALGORITHM on TASK, seed SEED`, or the algorithm's class for a module without a config."""
    return run_title(module.config) if module.config else type(module).__name__


def heatmap(
    matrices: Mapping[str, Tensor], frames: int, title: str, agents: AgentNames | None = None
) -> Figure:
    """What was learned about influence, beside the graphs that it should find.

    Colours go from 0 to 1. A matrix with larger entries has its own range.

    Args:
        matrices: title → `[N, N]`, row = acting agent.
        frames: environment frames of the training so far.
        title: of the run.
        agents: names of the N agents.
    """
    row = []
    for name, matrix in matrices.items():
        row.append(Panel(matrix, name, top=max(1.0, float(matrix.max())), agents=agents))
    what = f"{title}, after {frames} frames: means over the last rollout"
    return draw_influence([row], what)


def learning_curve(path: Path, title: str = "") -> Figure:
    """Training and evaluation reward of one run against environment frames.

    Args:
        path: its `metrics.jsonl`.
        title: of the run.
    """
    rows = read_rows(path)
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="environment frames", ylabel="reward per agent and step")
    axes.set_title(title)
    for colour, (metric, (label, style)) in zip(COLOURS, REWARDS.items(), strict=False):
        points = [(row["frames"], row[metric]) for row in rows if metric in row]
        if points:
            axes.plot(*zip(*points, strict=True), style, label=label, color=colour)
    if axes.lines:
        axes.legend()
    axes.grid(alpha=0.3)
    return figure
