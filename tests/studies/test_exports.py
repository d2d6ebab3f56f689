"""The tables for LaTeX and the curves for marl-eval."""

import json
import math
import re

import pandas as pd
import pytest

from ilvf.studies.latex import best_of, escaped, latex_tables
from ilvf.studies.marl_eval import marl_eval_json
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import with_run
from ilvf.studies.scores import score_arrays, whole_curve
from study_helpers import TINY_KEYS, content, small_study, table_of

STUDY = small_study(scales={"tiny": {"seeds": "0-3", "keys": TINY_KEYS}})
VALUES = {"MAPPO": [0.0, 1.0, 2.0, 3.0], "ILVF-P (threshold)": [1.0, 2.5, 3.0, 4.5]}
TABLE = table_of(planned_runs(STUDY), VALUES)


# ---------------------------------------------------------------------- LaTeX
def test_the_tables_have_the_values_and_the_best_is_bold():
    text = latex_tables(TABLE, STUDY, score_arrays(TABLE, STUDY, whole_curve))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2
    assert r"\caption{Encircle: reward/agent\_step, higher is better.}" in text
    row = re.search(r"^ILVF-P \(threshold\) & 4 & (.*) \\\\$", text, re.MULTILINE).group(1)
    whole, last = row.split(" & ")
    assert whole.startswith(r"$\mathbf{2.750}$ {\footnotesize $[")
    assert last.startswith(r"$\mathbf{12.750}$")
    assert re.search(r"^MAPPO & 4 & \$1\.500\$ ", text, re.MULTILINE)


def test_every_row_has_as_many_cells_as_the_table_has_columns():
    text = latex_tables(TABLE, STUDY, score_arrays(TABLE, STUDY, whole_curve))
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {3}


def test_the_lowest_value_is_best_where_lower_is_better():
    cells = {"A": (1.0, (0.5, 1.5)), "B": (2.0, (0, 3)), "C": (math.nan, (0, 0))}
    assert best_of(cells, highest=False) == ["A"]
    assert best_of(cells, highest=True) == ["B"]
    assert best_of({"C": cells["C"]}, highest=True) == []


def test_an_algorithm_without_a_finite_value_has_a_dash():
    table = TABLE.copy()
    table.loc[table["algorithm"] == "MAPPO", "value"] = float("nan")
    assert r"MAPPO & 0 & -- & -- \\" in latex_tables(table, STUDY, {})


def test_what_latex_reads_as_commands_is_escaped():
    assert escaped("50 % & a_b #1 {x} $y ~ ^ \\") == (
        r"50 \% \& a\_b \#1 \{x\} \$y \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )
    assert escaped("τ ≤ 2") == r"\ensuremath{\tau} \ensuremath{\leq} 2"


# ---------------------------------------------------------------------- marl-eval
def is_number(value):
    return isinstance(value, float | int) and math.isfinite(value)


def require_format(data):
    """The structure in the README of marl-eval, and what its DiagnoseData compares."""
    for tasks in data.values():
        shapes = set()
        for algorithms in tasks.values():
            for name, runs in algorithms.items():
                assert "," not in name
                steps = [tuple(run) for run in runs.values()]
                shapes.add((tuple(runs), *steps))
                for run in runs.values():
                    require_run(run)
            shapes.add(tuple(algorithms))
        assert len(shapes) == 2  # the same algorithms, and the same runs with the same steps


def require_run(run):
    """Steps in the order of their counts, then the absolute metrics, with lists of numbers."""
    *steps, last = run
    assert last == "absolute_metrics"
    assert steps == [f"step_{number}" for number in range(len(steps))]
    counts = [run[step]["step_count"] for step in steps]
    assert counts == sorted(set(counts))
    assert all(isinstance(count, int) for count in counts)
    for entry in run.values():
        metrics = [value for name, value in entry.items() if name != "step_count"]
        assert len(metrics) == 2
        assert all(isinstance(m, list) and all(map(is_number, m)) for m in metrics)


def test_the_curves_are_in_the_format_of_marl_eval():
    data = json.loads(marl_eval_json(TABLE, STUDY))
    require_format(data)
    run = data["encircle"]["encircle"]["MAPPO"]["seed_2"]
    assert run["step_0"] == {"step_count": 40, "value": [-8.0], "score": [pytest.approx(-8 / 4.5)]}
    assert run["absolute_metrics"]["value"] == [12.0]
    assert list(data["encircle"]["encircle"]["MAPPO"]) == ["seed_0", "seed_1", "seed_2", "seed_3"]


def test_runs_with_more_points_are_averaged_to_equal_steps():
    first, second, *others = planned_runs(STUDY)
    table = table_of([first, *others], VALUES)
    curve = pd.Series({20: 1.0, 40: 3.0, 60: float("nan"), 70: 5.0, 80: 7.0})
    data = json.loads(marl_eval_json(with_run(table, second, curve), STUDY))
    require_format(data)
    run = data["encircle"]["encircle"]["ILVF-P (threshold)"]["seed_0"]
    found = [(run[step]["step_count"], run[step]["value"]) for step in ("step_0", "step_1")]
    assert found == [(40, [2.0]), (80, [6.0])]


def test_an_environment_has_the_algorithms_and_seeds_of_all_its_tasks():
    tasks = [
        {"title": "One", "env": "encircle", "frames": 80},
        {"title": "Two", "env": "encircle", "frames": 80, "algorithms": ["MAPPO"]},
        {"title": "Three", "env": "capture_prey", "frames": 80},
    ]
    study = small_study(tasks=tasks, scales={"tiny": {"seeds": "0-1", "keys": TINY_KEYS}})
    table = table_of(planned_runs(study), VALUES)
    lost = (table["task"] == "Two") & (table["seed"] == 1)
    data = json.loads(marl_eval_json(table[~lost], study))
    require_format(data)
    assert list(data) == ["encircle", "capture_prey"]
    assert list(data["encircle"]) == ["one", "two"]
    assert list(data["encircle"]["one"]) == ["MAPPO"]
    assert list(data["encircle"]["one"]["MAPPO"]) == ["seed_0"]
    assert list(data["capture_prey"]["three"]) == list(VALUES)


def test_names_have_no_commas_and_a_study_without_runs_is_empty():
    algorithms = [*content()["algorithms"][:1], {"title": "ILVF-P, τ = 0.5", "recipe": "ilvf_p"}]
    study = small_study(algorithms=algorithms)
    table = table_of(planned_runs(study), {"MAPPO": [1.0, 2.0], "ILVF-P, τ = 0.5": [2.0, 3.0]})
    data = json.loads(marl_eval_json(table, study))
    require_format(data)
    assert list(data["encircle"]["encircle"]) == ["MAPPO", "ILVF-P; τ = 0.5"]
    assert json.loads(marl_eval_json(table[:0], study)) == {}
