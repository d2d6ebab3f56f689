"""A full disk, a deleted folder, a moved store, a second process: nothing is lost in silence."""

import shutil
import subprocess
import sys
import time

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import ROOT, TINY
from ilvf.checkpoints.files import AtomicCheckpoints, find_checkpoint
from ilvf.experiment.lock import RunLock
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.experiment.store import open_store, patient_lock, tracking_uri

ON_POLICY = (*TINY, "trainer.max_epochs=4", "algorithm.eval_every=100")


def only_run(out):
    (folder,) = {path.parent for path in out.glob("*/run.lock")}
    return folder


def another_process(*arguments):
    """ILVF-P in a process of its own."""
    command = [sys.executable, ROOT / "recipes" / "ilvf_p.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def status(out):
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("encircle")
    (run,) = client.search_runs([experiment.experiment_id])
    return run.info.status


@pytest.fixture
def full_disk(monkeypatch):
    """full_disk(2, 3): the second and third attempts to write `last.ckpt` fail."""

    def fail(*attempts):
        save = torch.save
        calls = []

        def limited(content, path, *args, **kwargs):
            if "last.ckpt" in str(path):
                calls.append(path)
                if len(calls) in attempts:
                    raise OSError(28, "No space left on device")
            save(content, path, *args, **kwargs)

        monkeypatch.setattr("ilvf.checkpoints.files.torch.save", limited)

    return fail


def frames_of(checkpoint):
    return torch.load(checkpoint, weights_only=True)["ilvf"]["state"]["frames"]


def test_a_disk_that_is_full_for_a_while(out, recipe, full_disk, capfd):
    full_disk(2, 3)
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    said = capfd.readouterr().err
    assert said.count("cannot be written") == 1
    assert "No space left" in said
    assert frames_of(only_run(out) / "checkpoints" / "last.ckpt") == 4 * 40
    assert status(out) == "FINISHED"


def test_a_run_that_ends_without_its_last_checkpoint(out, recipe, full_disk, capfd):
    full_disk(3, 4)
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert "last checkpoint could not be written" in error
    assert "is of an earlier iteration" in error
    assert frames_of(only_run(out) / "checkpoints" / "last.ckpt") == 2 * 40
    assert status(out) == "FAILED"


def test_a_folder_that_is_deleted_in_mid_run_is_made_again(out, recipe, monkeypatch):
    save = AtomicCheckpoints.save_checkpoint
    calls = []

    def sabotage(self, checkpoint, path, storage_options=None):
        calls.append(path)
        if len(calls) == 3:
            shutil.rmtree(only_run(out))
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpoints, "save_checkpoint", sabotage)
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    (checkpoint,) = out.glob("*/checkpoints/last.ckpt")
    assert frames_of(checkpoint) == 4 * 40
    rows = read_rows(checkpoint.parent.parent / METRICS)
    assert rows[-1]["frames"] == 4 * 40


def test_a_run_that_is_alive_is_not_resumed(out, recipe):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    lock = RunLock(only_run(out))
    more = ["resume=last", f"out={out}", "trainer.max_epochs=9"]
    found = another_process(*more)
    lock.release()
    assert found.returncode == 2
    assert "is being trained by process" in found.stderr
    assert len(read_rows(only_run(out) / METRICS)) == 4
    assert recipe("ilvf_p", *more) == 0


def test_a_run_without_a_checkpoint_is_not_taken_for_an_older_one(out, recipe, capsys):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    killed = out / "ilvf_p-encircle-s1-killed"
    killed.mkdir()
    (killed / "run.lock").touch()
    capsys.readouterr()
    assert recipe("ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=9") == 2
    error = capsys.readouterr().err
    assert "ilvf_p-encircle-s1-killed has no checkpoint" in error
    assert "the newest that has one is" in error


def test_last_is_the_run_that_was_active_last(tmp_path):
    import os

    for name, age in (("old", 200), ("new", 100)):
        checkpoint = tmp_path / name / "checkpoints" / "last.ckpt"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        then = time.time() - age
        os.utime(checkpoint, (then, then))
    assert find_checkpoint("last", tmp_path).parts[-3] == "new"


# ---------------------------------------------------------------------- the store
def test_runs_that_were_moved_are_continued_where_they_are(tmp_path, out, recipe):
    first = tmp_path / "m1"
    first.mkdir()
    shutil.move(out / "mlflow.db", first / "mlflow.db")
    assert recipe("ilvf_p", *ON_POLICY, f"out={first}") == 0
    second = tmp_path / "m2"
    first.rename(second)
    found = another_process("resume=last", f"out={second}", "trainer.max_epochs=5")
    assert found.returncode == 0, found.stderr
    assert f"was moved from {first} to {second}" in found.stdout
    assert not first.exists()
    assert list(second.glob("artifacts/*/artifacts/checkpoints/last.ckpt"))


def test_runs_that_were_copied_are_not_mixed_up(tmp_path, out, recipe, capsys):
    first = tmp_path / "m1"
    first.mkdir()
    shutil.move(out / "mlflow.db", first / "mlflow.db")
    assert recipe("ilvf_p", *ON_POLICY, f"out={first}") == 0
    second = tmp_path / "m2"
    shutil.copytree(first, second)
    capsys.readouterr()
    assert recipe("ilvf_p", "resume=last", f"out={second}", "trainer.max_epochs=5") == 2
    error = capsys.readouterr().err
    assert str(first) in error
    assert str(second) in error
    assert "still exists" in error


def test_a_lock_that_another_process_holds_is_announced(tmp_path, capsys, monkeypatch):
    from filelock import FileLock, Timeout

    monkeypatch.setattr("ilvf.experiment.store.SILENCE", 0.01)
    monkeypatch.setattr("ilvf.experiment.store.PATIENCE", 0.02)
    with FileLock(tmp_path / "x.lock"), pytest.raises(Timeout), patient_lock(tmp_path / "x.lock"):
        pass
    assert "waiting for another process" in capsys.readouterr().err


def test_a_store_that_is_no_database_is_one_sentence(tmp_path, refused):
    (tmp_path / "mlflow.db").write_text("hello, this is no database" * 100)
    with refused("mlflow.db", "cannot be used"):
        open_store(tracking_uri(tmp_path), tmp_path, "encircle")


def test_a_resumed_run_needs_more_iterations(out, recipe, capsys):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    for iterations in (3, 4):
        arguments = ("resume=last", f"out={out}", f"trainer.max_epochs={iterations}")
        assert recipe("ilvf_p", *arguments) == 2
        assert "has done 4 iterations already" in capsys.readouterr().err
