"""Pictures of runs: heatmap, learning curve, comparison, and when they are stored."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from ilvf.envs import Encircle
from ilvf.envs.names import AgentNames, numbered
from ilvf.reports.comparison import comparison
from ilvf.reports.drawing import COLOURS, LINE_STYLES, curve_style
from ilvf.reports.matrices import Panel, draw_influence
from ilvf.reports.matrices_file import MATRICES, read_matrices, read_names, write_matrices
from ilvf.reports.pictures import Pictures, heatmap, learning_curve
from ilvf.reports.titles import run_title

CONFIG = {
    "recipe": "ilvf_p",
    "algorithm": {},
    "env": {"name": "encircle"},
    "seed": 3,
}


def test_rows_of_the_heatmap_are_acting_agents():
    agents = AgentNames(("a", "b", "c"), "vehicle")
    weight = torch.zeros(3, 3)
    weight[0, 1] = 0.5
    graph = torch.zeros(3, 3, dtype=torch.bool)
    graph[1, 2] = True
    matrices = {"attention w": weight, "z": 14 * weight, "reward graph": graph}
    figure = heatmap(matrices, 80, "ILVF-P on encircle", agents)
    first, with_range, second = figure.axes[:3]
    assert first.images[0].get_array()[0, 1] == 0.5
    assert first.images[0].get_clim() == (0, 1)
    assert with_range.images[0].get_clim() == (0, 7)
    assert second.images[0].get_array()[1, 2] == 1
    assert first.get_ylabel() == "vehicle whose action it is"
    assert first.get_xlabel() == "vehicle whose return changes"
    for ticks in (first.get_xticklabels(), first.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["a", "b", "c"]
    assert "ILVF-P on encircle, after 80 frames" in figure.get_suptitle()


def test_neighbours_with_the_same_scale_share_a_colour_bar():
    unit = Panel(torch.eye(3), "w")
    wide = Panel(torch.eye(3), "effect", top=7.0, unit="return")
    figure = draw_influence([[unit, unit, wide], [unit]], "title")
    bars = [axes for axes in figure.axes if not axes.images]
    assert [bar.get_ylim()[1] for bar in bars if bar.axison] == [1.0, 7.0, 1.0]


def test_of_many_agents_some_are_named():
    figure = draw_influence([[Panel(torch.eye(100), "w")]], "title")
    names = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert names == [str(k) for k in range(0, 100, 3)]


def test_names_are_no_formulas():
    """A `$` in a name would begin one, and a second one end it."""
    agents = AgentNames(("a$b$", r"$\frac$"), "$x")
    figure = draw_influence([[Panel(torch.eye(2), "$w$ $^$", agents=agents)]], "$^$")
    figure.draw_without_rendering()
    assert figure.axes[0].get_xticklabels()[0].get_text() == "a$b$"


def test_a_learning_curve_has_a_line_for_each_metric_in_the_file(tmp_path):
    rows = [
        {"frames": 40, "reward/agent_step": -2.0},
        {"frames": 80, "reward/agent_step": -1.0, "eval/reward/agent_step": -0.5},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (axes,) = learning_curve(path, "mappo on encircle").axes
    training, evaluation = axes.lines
    assert training.get_xydata().tolist() == [[40, -2], [80, -1]]
    assert evaluation.get_xydata().tolist() == [[80, -0.5]]
    assert axes.get_title() == "mappo on encircle"
    assert axes.get_xlabel() == "environment frames"


def series(*values, seed=0):
    return pd.Series(values, index=[40 * (k + 1) for k in range(len(values))], name=seed)


def curves_in(axes):
    """The curves, without the lines beside the axes."""
    return [line for line in axes.lines if line.get_transform() == axes.transData]


def test_a_comparison_draws_means_and_bands_with_labels_beside_the_axes():
    groups = {"two": [series(0.0, 1.0), series(0.0, 3.0, seed=1)], "one": [series(0.0, 1.0)]}
    figure = comparison({"encircle": groups}, "return/team")
    (axes,) = figure.axes
    assert curves_in(axes)[0].get_xydata().tolist() == [[40, 0], [80, 2]]
    assert {text.get_text() for text in axes.texts} == {"two (2 seeds)", "one (1 seed)"}
    assert all(text.get_position()[0] > 1 for text in axes.texts)  # in parts of the axes' width
    assert len(axes.collections) == 1  # one seed has no interval
    assert axes.get_title() == "encircle"
    assert "bootstrap" in figure.get_suptitle()


def test_bands_stay_within_the_values_of_the_runs():
    """A return of 0 cannot be exceeded; three of four runs reach it."""
    runs = [series(-5.0, value, seed=k) for k, value in enumerate((0.0, 0.0, 0.0, -4.0))]
    (axes,) = comparison({"task": {"a": runs}}, "return/team").axes
    corners = axes.collections[0].get_paths()[0].vertices
    assert corners[:, 1].max() <= 0.0
    assert corners[:, 1].min() >= -5.0


def test_a_label_has_the_same_style_in_every_panel():
    panels = {"first": {"a": [series(0, 1)], "b": [series(1, 2)]}, "second": {"b": [series(3, 4)]}}
    first, second = comparison(panels, "return/team").axes
    assert curves_in(first)[1].get_color() == curves_in(second)[0].get_color()


def test_curves_differ_in_colour_or_line_style():
    number = len(COLOURS) * len(LINE_STYLES)
    styles = {tuple(curve_style(k).values()) for k in range(number)}
    assert len(styles) == number


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({}, "ILVF-P on encircle, seed 3"),
        ({"algorithm": {"mixer": "vdn"}, "recipe": "qmix"}, "VDN on encircle, seed 3"),
        (
            {"algorithm": {"influence": "learned", "supervision": 0.0}},
            "ILVF-P (unsupervised) on encircle, seed 3",
        ),
        ({"env": {"name": "pettingzoo", "task": "zoo"}}, "ILVF-P on zoo, seed 3"),
        (
            {"env": {"name": "cacc", "scenario": "catch-up", "n_agents": 8}},
            "ILVF-P on cacc catch-up, n=8, seed 3",
        ),
    ],
)
def test_titles_name_algorithm_task_and_seed(changes, title):
    assert run_title(CONFIG | changes) == title


class Logger:
    """Remembers the names of what is stored."""

    def __init__(self, run_dir):
        self.run_dir = run_dir
        self.names = []

    def figure(self, figure, name):
        self.names.append(name)

    def written(self, write, name):
        path = self.run_dir / name
        path.parent.mkdir(exist_ok=True)
        write(path)
        self.names.append(path.name)


ANIMATED = {"animation": True}


def module_with(matrices):
    """What a picture needs of an algorithm that has learned these matrices."""
    return SimpleNamespace(frames=80, matrices=lambda: matrices, config=CONFIG)


@pytest.mark.parametrize(
    ("attention", "options", "names"),
    [
        (torch.eye(4), ANIMATED, [MATRICES, "influence-00000080.png", "episode-00000080.png"]),
        (None, {"animation": False}, ["episode-00000080.png"]),
        (torch.eye(4), {**ANIMATED, "pictures": False}, [MATRICES]),
    ],
)
def test_what_is_stored(attention, options, names, tmp_path):
    env = Encircle(4, num_envs=2, horizon=2, seed=0)
    rollout = env.rollout(2)
    trainer = SimpleNamespace(is_global_zero=True, logger=Logger(tmp_path))
    module = module_with({} if attention is None else {"attention w": attention})
    pictures = Pictures(**options)
    pictures.on_evaluation(trainer, module, env, rollout)
    assert trainer.logger.names == names
    pictures.on_fit_end(trainer, module)
    ending = ["learning-curve.png"] if options.get("pictures", True) else []
    if options["animation"]:
        ending.append("episode-00000080.gif")
        with Image.open(tmp_path / "pictures" / ending[-1]) as shown:
            assert shown.n_frames == 3
    assert trainer.logger.names == names + ending


def test_nothing_is_stored_without_a_logger_or_by_other_processes(tmp_path):
    module = module_with({"attention w": torch.eye(4)})
    env = Encircle(4, horizon=2, seed=0)
    logger = Logger(tmp_path)
    for trainer in (
        SimpleNamespace(is_global_zero=False, logger=logger),
        SimpleNamespace(is_global_zero=True, logger=None),
    ):
        pictures = Pictures(animation=True)
        pictures.on_evaluation(trainer, module, env, env.rollout(2))
        pictures.on_fit_end(trainer, module)
    assert logger.names == []


def test_matrices_are_read_as_they_were_written(tmp_path):
    path = tmp_path / MATRICES
    assert read_matrices(path) == {}
    graph = torch.eye(3, dtype=torch.bool)
    write_matrices(path, {"influence Ŵ": torch.rand(3, 3), "reward graph": graph})
    write_matrices(path, {"influence Ŵ": torch.full((3, 3), 0.25), "reward graph": graph})
    found = read_matrices(path)
    assert list(found) == ["influence Ŵ", "reward graph"]
    assert found["influence Ŵ"].tolist() == [[0.25] * 3] * 3
    assert found["reward graph"].tolist() == torch.eye(3).tolist()
    assert read_names(path, 3) == numbered(3)
    agents = AgentNames(("nt1", "nt2", "ß"), "signal")
    write_matrices(path, {"influence Ŵ": torch.eye(3)}, agents)
    assert list(read_matrices(path)) == ["influence Ŵ"]
    assert read_names(path, 3) == agents
    assert read_names(path, 4) == numbered(4)
    assert [file.name for file in tmp_path.iterdir()] == [MATRICES]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 cut", "cannot be read"),
        ({"w": np.zeros((2, 3))}, "no finite square matrix"),
        ({"w": np.full((2, 2), np.nan)}, "no finite square matrix"),
        ({"w": np.array([["a"]])}, "no finite square matrix"),
        ({"w": np.array([[{}]])}, "cannot be read"),
    ],
)
def test_damaged_matrices_are_refused(content, words, tmp_path, refused):
    path = tmp_path / MATRICES
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, **content)
    with refused(str(path), words):
        read_matrices(path)
