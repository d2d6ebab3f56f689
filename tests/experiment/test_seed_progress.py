"""What several runs show while they train, and what a refused run leaves."""

from pathlib import Path

import pytest

from helpers import TINY
from ilvf.errors import UsageError
from ilvf.experiment.config import resolve
from ilvf.experiment.folder import removed_if_refused
from ilvf.experiment.jobs import Job
from ilvf.experiment.lock import LOCK
from ilvf.experiment.metrics_file import METRICS, append_row, last_row
from ilvf.experiment.options import training_schema
from ilvf.experiment.presentation import name_in_mlflow
from ilvf.experiment.seed_progress import SeedBars


def name(*words, recipe="ilvf_p"):
    return name_in_mlflow(resolve(training_schema(recipe), words))


def test_a_bar_shows_frames_and_return_of_its_run(tmp_path, capsys):
    job = Job(["true"], Path("runs/logs/20260101-000000-s3.log"))
    bars = SeedBars({job: tmp_path}, 400)
    bars.show([job])
    append_row(tmp_path / METRICS, 40, {"return/team": -5.0})
    append_row(tmp_path / METRICS, 80, {"return/team": -4.0, "eval/return/team": -3.0})
    bars.show([job])
    bar = bars.bars[job]
    assert (bar.n, bar.total, bar.desc) == (80, 400, "s3")
    assert bar.postfix == "eval/return/team -3"
    bars.show([])
    assert "s3: runs/logs/20260101-000000-s3.log" in capsys.readouterr().out


def test_the_last_row_is_complete(tmp_path):
    path = tmp_path / METRICS
    assert last_row(path) is None
    path.write_text('{"frames": 40, "a": 1.0}\n{"frames": 80, "a')
    assert last_row(path) == {"frames": 40, "a": 1.0}


def test_the_name_of_a_run_says_what_differs():
    assert name() == "ILVF-P · encircle n=20"
    assert name("algorithm.mixer=vdn", recipe="qmix") == "VDN · encircle n=20"
    changed = ("env.n_agents=10", "algorithm.tau=0.5", "trainer.max_epochs=3", "seed=4")
    assert name(*changed) == "ILVF-P · encircle n=10 · τ=0.5"
    assert name("env=cacc", recipe="mappo") == "MAPPO · cacc n=8"
    assert name("algorithm.mixer=vdn", recipe="qmix").startswith("VDN · encircle n=20")
    evaluated = ("algorithm.eval_every=1", "algorithm.eval_episodes=4", "algorithm.lr=0.01")
    assert name(*evaluated) == "ILVF-P · encircle n=20 · lr=0.01"
    assert name(*TINY).endswith(" · …")


def refuse(folder):
    """Fail as a run does that has locked its folder."""
    with removed_if_refused(folder):
        (folder / LOCK).touch()
        raise UsageError("no")


def test_a_new_folder_is_removed_if_the_run_is_refused(tmp_path):
    new = tmp_path / "new"
    old = tmp_path / "old"
    for folder in (new, old):
        folder.mkdir()
    (old / METRICS).touch()
    for folder in (new, old):
        with pytest.raises(UsageError):
            refuse(folder)
    assert not new.exists()
    assert old.exists()


def test_a_refused_run_leaves_no_folder(out, recipe):
    assert recipe("mappo", *TINY, f"out={out}", "trainer.devices=99") == 2
    assert {path.name for path in out.iterdir()} == {"mlflow.db"}
    (out / "mlflow.db").write_text("no database")
    assert recipe("mappo", *TINY, f"out={out}") == 2
    assert not any(path.is_dir() for path in out.iterdir())
