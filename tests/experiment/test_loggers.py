"""Loggers other than MLflow."""

import csv

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from helpers import TINY
from ilvf.experiment import folder_tracker
from ilvf.experiment.metrics_file import METRICS, read_rows
from run_helpers import run_folders

RUN = [word for word in TINY if not word.startswith("algorithm.eval")]
KEY = "reward/agent_step"


def only_folder(out):
    (folder,) = run_folders(out)
    return folder


@pytest.mark.slow
def test_csv_has_every_iteration_also_after_a_resume(out, recipe, capsys):
    words = [*RUN, f"out={out}", "trainer.logger=csv", "trainer.pictures=true"]
    assert recipe("mappo", *words) == 0
    assert "MLflow" not in capsys.readouterr().out
    assert recipe("mappo", "resume=last", f"out={out}", "trainer.max_epochs=3") == 0
    folder = only_folder(out)
    rows = read_rows(folder / METRICS)
    with (folder / "csv" / "metrics.csv").open() as file:
        found = list(csv.DictReader(file))
    assert [int(row["step"]) for row in found] == [40, 80, 120]
    assert [float(row[KEY]) for row in found] == pytest.approx([row[KEY] for row in rows])
    assert (folder / "pictures" / "learning-curve.png").is_file()
    assert not (out / "artifacts").exists()


@pytest.mark.slow
def test_tensorboard_has_every_iteration(out, recipe):
    assert recipe("mappo", *RUN, f"out={out}", "trainer.logger=tensorboard") == 0
    events = EventAccumulator(str(only_folder(out) / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars(KEY)] == [40, 80]


@pytest.mark.slow
def test_without_a_logger_the_folder_has_everything(out, recipe):
    assert recipe("mappo", *RUN, f"out={out}", "trainer.logger=none") == 0
    folder = only_folder(out)
    assert [row["frames"] for row in read_rows(folder / METRICS)] == [40, 80]
    assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_a_missing_package_is_named_before_anything_is_made(tmp_path, recipe, capsys, monkeypatch):
    monkeypatch.setitem(folder_tracker.PACKAGES, "wandb", "no_such_package")
    assert recipe("mappo", *RUN, f"out={tmp_path}", "trainer.logger=wandb") == 2
    assert 'pip install "ilvf[wandb]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_system_metrics_need_mlflow(recipe, capsys):
    assert recipe("mappo", "trainer.logger=csv", "trainer.system_metrics=true") == 2
    assert "needs trainer.logger=mlflow" in capsys.readouterr().err
