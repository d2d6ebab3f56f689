"""Environment variables of launchers: a wrong one is named before anything reads it."""

import os
import subprocess
import sys

import pytest

from helpers import ROOT
from ilvf.experiment.command_line import command_line
from ilvf.experiment.options import training_schema
from ilvf.experiment.variables import COUNTS, require_launched, require_variables


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("text", ["words", "", "-1", "1.5", "9" * 5000, "٣"], ids=ascii)
def test_a_count_that_is_no_number_is_named(name, text, refused):
    with refused(f"environment variable {name}=", "whole number", "unset it"):
        require_variables({name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("MASTER_PORT", "70000"),
        ("OMP_NUM_THREADS", "words"),
        ("OMP_NUM_THREADS", "0"),
        ("OMP_NUM_THREADS", "4,x"),
        ("MLFLOW_TRACKING_URI", "words"),
    ],
)
def test_another_wrong_variable_is_named(name, text, refused):
    with refused(f"environment variable {name}='{text}'", "unset it"):
        require_variables({name: text})


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "8", "MASTER_PORT": "29500"},
        {"SLURM_NTASKS": "4", "SLURM_PROCID": " 0 "},
        {"OMP_NUM_THREADS": "4,2"},
        {"OMP_NUM_THREADS": ""},
        {"MLFLOW_TRACKING_URI": "http://localhost:5000"},
        {"MLFLOW_TRACKING_URI": "sqlite:///runs/mlflow.db"},
        {"MLFLOW_TRACKING_URI": "./mlruns"},
        {"MLFLOW_TRACKING_URI": "databricks"},
        {"MLFLOW_TRACKING_URI": ""},
    ],
    ids=str,
)
def test_variables_of_working_launchers_pass(variables):
    require_variables(variables)


def test_a_wrong_variable_ends_a_command(monkeypatch, refused):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with refused("WORLD_SIZE='two'"):
        command_line(training_schema("mappo"), [])


def test_a_variable_that_lightning_reads_when_it_is_imported():
    command = [sys.executable, "-m", "ilvf", "train", "mappo"]
    environment = {**os.environ, "RANK": "words"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert found.returncode == 2
    assert found.stderr.startswith("error: the environment variable RANK='words'")
    assert found.stderr.count("\n") == 1


# ---------------------------------------------------------------------- ranks without a launcher
@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_a_later_process_that_nobody_started_does_not_train(
    name, recipe, tmp_path, capsys, monkeypatch
):
    """It would leave the records of its run to a first process that does not exist."""
    monkeypatch.setenv(name, "3")
    assert recipe("mappo", f"out={tmp_path}") == 2
    assert f"{name}=3 says that this is a later process" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("launcher", ["TORCHELASTIC_RUN_ID", "ILVF_RUN_DIR"])
def test_a_later_process_of_a_launcher_trains(launcher):
    require_launched({"LOCAL_RANK": "1", "WORLD_SIZE": "2", launcher: "x"})


def test_a_later_task_of_srun_trains():
    require_launched({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"})
