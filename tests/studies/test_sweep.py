"""Sweeps: combinations, titles, folders, the report, and the command."""

import dataclasses
import shutil

import pandas as pd
import pytest

from ilvf.experiment import cluster
from ilvf.options import text_of
from ilvf.studies.csv_tables import write_table
from ilvf.studies.description import LONGEST_TITLE, StudyScale
from ilvf.studies.plan import planned_runs
from ilvf.studies.raw_table import with_run
from ilvf.studies.space import Range, Values
from ilvf.studies.sweep import title_of
from ilvf.studies.sweep_report import SweepRunner, ranking
from study_helpers import TINY_KEYS, WritingEngine, tiny_sweep

TAU = Values("algorithm.tau", (0.5, 1.0))
CLIP = Values("algorithm.clip", (0.1, 0.2, 0.3))
TINY = [f"{key}={text_of(value)}" for key, value in TINY_KEYS.items()]


def sweep(*axes, **changes):
    return tiny_sweep(axes or (TAU, CLIP), **changes)


# ---------------------------------------------------------------------- combinations
def test_a_grid_has_all_combinations_with_titles():
    grid = sweep().grid()
    assert list(grid)[:2] == ["tau = 0.5, clip = 0.1", "tau = 0.5, clip = 0.2"]
    assert len(grid) == 6
    runs = planned_runs(sweep().study(grid))
    assert len({run.folder for run in runs}) == 6
    assert "algorithm.clip=0.3" in runs[-1].arguments
    assert "env.n_agents=4" in runs[-1].arguments


@pytest.mark.parametrize(
    ("first", "second"), [(-1, 1), ("a/b", "a.b"), ([1, 2], [12]), ("τ", "σ"), ("x" * 90, "x" * 91)]
)
def test_values_that_a_folders_name_would_confuse_have_different_titles(first, second):
    titles = [title_of({"env.a": value}) for value in (first, second)]
    study = dataclasses.replace(sweep(), axes=(Values("algorithm.tau", (1.0, 2.0)),))
    combinations = zip(titles, ({"algorithm.tau": 1.0}, {"algorithm.tau": 2.0}), strict=True)
    runs = planned_runs(study.study(dict(combinations)))
    assert runs[0].folder != runs[1].folder
    assert all(len(title) <= LONGEST_TITLE for title in titles)


def test_a_grid_that_grows_stays_in_its_folder():
    wider = Values("algorithm.tau", (0.5, 1.0, 3.0))
    assert sweep(wider).mark == sweep(TAU).mark
    assert sweep(TAU, scale=StudyScale(seeds="0-4")).mark == sweep(TAU).mark


def test_runs_that_differ_in_what_is_fixed_have_different_folders():
    others = [
        sweep(recipe="mappo"),
        sweep(task=dataclasses.replace(sweep().task, frames=160)),
        sweep(task=dataclasses.replace(sweep().task, keys={"env.n_agents": 5})),
        sweep(scale=StudyScale(preset="paper")),
        sweep(sampler="tpe"),
        sweep(TAU, sampler="tpe"),
        sweep(TAU, sampler="tpe", scale=StudyScale(seeds="0-1")),
    ]
    assert len({other.mark for other in [sweep(), *others]}) == len(others) + 1


def test_a_grid_that_cannot_run_is_refused(refused):
    with refused("algorithm.tau=1..2:log is a range", "sampler=tpe"):
        sweep(Range("algorithm.tau", 1, 2, log=True)).grid()
    with refused("2000 combinations", "1000"):
        sweep(TAU, Values("seed", tuple(range(1000)))).grid()
    with refused("nothing to vary"):
        dataclasses.replace(sweep(), axes=()).grid()


# ---------------------------------------------------------------------- runs and report
def test_a_sweep_runs_what_is_missing_and_ranks_the_combinations(folder):
    made = sweep(TAU)
    study = made.study(made.grid())
    run = planned_runs(study)[0]
    write_table(folder / "raw.csv", with_run(pd.DataFrame(), run, pd.Series({40: 1.0, 80: 2.0})))
    engine = WritingEngine(lambda arguments: 10 * float(arguments["algorithm.tau"]))
    runner = SweepRunner(study, folder)
    runner.run(engine)
    assert engine.batches == [["encircle_tau-1.0_s0"]]
    assert ranking(runner.table, study).to_dict() == {"tau = 1.0": 10.0, "tau = 0.5": 2.0}
    page = (folder / "report.md").read_text()
    assert page.index("| tau = 1.0 | 1 | 1 | 10.000 |") < page.index("| tau = 0.5 | 0.5 | 1 | 2.")
    assert "`env.n_agents=4`" in page
    assert all((folder / name).stat().st_size > 5000 for name in ("sweep.png", "curves.png"))


def test_the_lowest_is_the_best_where_lower_is_better(folder):
    made = sweep(TAU)
    lower = dataclasses.replace(made, task=dataclasses.replace(made.task, better="lower"))
    runner = SweepRunner(lower.study(lower.grid()), folder)
    runner.run(WritingEngine(lambda arguments: float(arguments["algorithm.tau"])))
    assert list(ranking(runner.table, runner.study).index) == ["tau = 0.5", "tau = 1.0"]


def test_a_report_without_a_finished_run_says_so(folder):
    made = sweep(Values("algorithm.discretise", ("soft", "threshold")))
    SweepRunner(made.study(made.grid()), folder).report()
    page = (folder / "report.md").read_text()
    assert "No run has finished" in page
    assert "2 runs have not finished" in page


# ---------------------------------------------------------------------- the command
def test_the_command_lists_the_grid(recipe, out, capsys):
    arguments = ("mappo", "algorithm.clip=0.1,0.2", "env=slow_down", "frames=1", f"out={out}")
    assert recipe("sweep", *arguments, "seeds=3-4", "dry=true") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("slow_down | clip = 0.1 | seed 3: ")
    assert lines[-1] == "4 of 4 runs have not finished"
    assert not (out / "sweeps").exists()


def test_an_environment_of_ones_own_is_swept(recipe, out, capsys):
    assert recipe("sweep", "algorithm.tau=1,2", "env=own_package:make", "dry=true") == 0
    assert "2 of 2 runs have not finished" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x", "algorithm.tau=1,2"], ("'x' is not known",)),
        ([], ("nothing to vary",)),
        (["algorithm.tau=1,-2"], ("algorithm.tau=-2.0 must be positive",)),
        (["algorithm.tau=1..2"], ("a range, which needs sampler=tpe",)),
        (["algorithm.tau=1..2", "sampler=tpe"], ("sampler=tpe needs trials=NUMBER",)),
        (["algorithm.tau=1,2", "trials=3"], ("trials=3 needs sampler=tpe",)),
        (["sampler=tpe", "trials=3"], ("nothing to vary",)),
        (["sampler=tp", "trials=3"], ("sampler='tp'", "did you mean 'tpe'")),
        (["algorithm.tau=1,2", "seed=3"], ("cannot have seed", "seeds=")),
        (["trainer.max_epochs=1,2"], ("cannot have trainer.max_epochs", "frames=")),
        (["algorithm.tau=1,2", "trainer.early_stopping=3"], ("cannot have trainer.early_stopp",)),
        (["sede=1"], ("'sede'", "did you mean 'seeds'")),
        (["triasl=null", "--cfg"], ("'triasl'", "did you mean 'trials'")),
        (["algorithm.tau=1,2", "seeds=x"], ("no list of seeds",)),
        (["algorithm.tau=1,2", "env=a,b"], ("env=a,b is not known",)),
        (["algorithm.tau=1,2", "preset=papr"], ("did you mean 'paper'",)),
        (["algorithm.tau=1,2", "metrc=x"], ("'metrc'", "did you mean 'metric'")),
        (["algorithm.lr=0.1,0.2", "algorithm.lr_end=1"], ("lr = 0.1 on encircle", "lr_end=1")),
        (["algorithm.tau=1,2", "engine=slurm"], ("engine='slurm'", "submitit")),
        (["algorithm.tau=1,2", "engine.partion=x"], ("did you mean 'engine.partition'",)),
    ],
)
def test_a_wrong_sweep_is_refused_before_anything_runs(arguments, words, recipe, out, capsys):
    assert recipe("sweep", *arguments, f"out={out}") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(word in error for word in words), error


@pytest.mark.slow
def test_a_sweep_trains_on_a_cluster_and_names_the_best(recipe, out, store, capsys, monkeypatch):
    """One combination is trained as a job of submitit; the other is in the table."""
    monkeypatch.setattr(cluster, "POLL", 0.1)
    arguments = ("algorithm.tau=0.5,1", *TINY, "frames=80", f"out={out}")
    assert recipe("sweep", *arguments, "report=true") == 0
    (folder,) = (out / "sweeps").iterdir()
    shutil.copy(store, folder)
    made = sweep(TAU)
    run = planned_runs(made.study(made.grid()))[0]
    write_table(folder / "raw.csv", with_run(pd.DataFrame(), run, pd.Series({80: -1.0})))
    capsys.readouterr()
    assert recipe("sweep", *arguments, "engine=submitit", "engine.cluster=local") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3].split() == ["-1.0000", "algorithm.tau=0.5"]
    assert "algorithm.tau=1.0" in lines[-2]
    assert "checkpoint" in (folder / "logs" / "encircle_tau-1.0_s0.log").read_text()
