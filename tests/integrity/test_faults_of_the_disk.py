"""A full disk, a deleted folder, a moved store, a second process: nothing is lost in silence."""

import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.checkpoints.files import AtomicCheckpoints, find_checkpoint
from ilvf.experiment.metrics_file import METRICS, read_rows
from ilvf.experiment.monitors import ModelCheckpointHere
from ilvf.experiment.store import open_store, patient_lock, tracking_uri
from run_helpers import folder_with_store, output_of, start_recipe

ON_POLICY = (*TINY, "trainer.max_epochs=4", "algorithm.eval_every=100")
HOLD_THE_LOCK = """
import sys
from pathlib import Path
from ilvf.experiment.lock import RunLock

lock = RunLock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def only_run(out):
    (folder,) = {path.parent for path in out.glob("*/run.lock")}
    return folder


@contextmanager
def held_by_another_process(folder):
    """Another process holds the lock of a run meanwhile; yields its number."""
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:  # its input is closed at the end
        assert process.stdout.readline() == "locked\n"
        yield process.pid


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


def test_the_replay_files_of_the_last_good_checkpoint_stay(out, recipe, full_disk, capfd):
    """The ring has two rollouts, so that every iteration overwrites one of a checkpoint."""
    full_disk(3, 4, 5)
    ring = ("algorithm.capacity=80", "algorithm.batch_size=8", "trainer.max_epochs=5")
    of_ppo = ("algorithm.epochs", "algorithm.minibatches")
    tiny = [word for word in TINY if not word.startswith(of_ppo)]
    assert recipe("qmix", *tiny, *ring, "algorithm.warmup=0", f"out={out}") == 2
    assert "is of an earlier iteration" in capfd.readouterr().err
    assert recipe("qmix", "resume=last", f"out={out}", "trainer.max_epochs=6") == 0


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


def test_a_run_that_is_alive_is_not_resumed(out, recipe, capsys):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    more = ["resume=last", f"out={out}", "trainer.max_epochs=9"]
    capsys.readouterr()
    with held_by_another_process(only_run(out)) as number:
        assert recipe("ilvf_p", *more) == 2
    assert f"is being trained by process {number}" in capsys.readouterr().err
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
@pytest.mark.slow
def test_runs_that_were_moved_are_continued_where_they_are(tmp_path, out, recipe):
    """By another process: MLflow keeps connections of this one to the folder before."""
    first = tmp_path / "m1"
    first.mkdir()
    shutil.move(out / "mlflow.db", first / "mlflow.db")
    assert recipe("ilvf_p", *ON_POLICY, f"out={first}") == 0
    second = tmp_path / "m2"
    first.rename(second)
    output = output_of(start_recipe(second, "ilvf_p", "resume=last", "trainer.max_epochs=5"))
    assert f"was moved from {first} to {second}" in output
    assert not first.exists()
    assert list(second.glob("artifacts/*/artifacts/checkpoints/last.ckpt"))


def test_a_store_that_was_moved_keeps_new_files_where_it_is(tmp_path, store, capsys):
    """Also if something has made the old folder again."""
    first = folder_with_store(tmp_path / "m1", store)
    open_store(tracking_uri(first), first, "encircle")
    client = MlflowClient(tracking_uri(first))
    run = client.create_run(client.get_experiment_by_name("encircle").experiment_id).info.run_id
    client.log_text(run, "x", "x.txt")
    second = tmp_path / "m2"
    first.rename(second)
    (first / "artifacts").mkdir(parents=True)
    capsys.readouterr()
    open_store(tracking_uri(second), second, "encircle")
    assert f"was moved from {first} to {second}" in capsys.readouterr().out
    found = MlflowClient(tracking_uri(second)).get_experiment_by_name("encircle")
    assert found.artifact_location == (second / "artifacts").as_uri()
    open_store(tracking_uri(second), second, "encircle")
    assert "moved" not in capsys.readouterr().out


def test_a_store_with_files_in_another_folder_is_left_as_it_is(tmp_path, store, monkeypatch):
    """Two folders can share the store of one of them, by the variable."""
    shared = folder_with_store(tmp_path / "shared", store)
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(shared))
    open_store(tracking_uri(other), other, "encircle")
    (other / "artifacts").mkdir()
    open_store(tracking_uri(shared), shared, "encircle")
    found = MlflowClient(tracking_uri(shared)).get_experiment_by_name("encircle")
    assert found.artifact_location == (other / "artifacts").as_uri()


def test_a_run_that_was_moved_knows_its_best_checkpoint(tmp_path):
    """One that was copied out of its folder does not."""
    first, second = (tmp_path / name / "checkpoints" for name in ("a", "b"))
    options = {"filename": "best", "monitor": "x", "mode": "max"}
    before = ModelCheckpoint(first, **options)
    assert ModelCheckpointHere(second, **options).state_key == before.state_key
    best = str(first / "best.ckpt")
    state = {**before.state_dict(), "best_model_path": best, "best_model_score": torch.tensor(3.0)}
    state["best_k_models"] = {best: torch.tensor(3.0)}
    second.mkdir(parents=True)
    (second / "best.ckpt").touch()
    after = ModelCheckpointHere(second, **options)
    after.load_state_dict(state)
    assert after.best_model_score == 3
    assert after.best_model_path == str(second / "best.ckpt")
    assert list(after.best_k_models) == [after.best_model_path]
    copied = ModelCheckpointHere(tmp_path / "c", **options)
    with pytest.warns(UserWarning, match="dirpath has changed"):
        copied.load_state_dict(state)
    assert copied.best_model_score is None


def files_below(folder):
    """path → time of its last change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_runs_that_were_copied_are_not_mixed_up(tmp_path, out, recipe, capsys):
    """Nothing is written into the original, whose files a copied store names."""
    first = tmp_path / "m1"
    first.mkdir()
    shutil.move(out / "mlflow.db", first / "mlflow.db")
    assert recipe("ilvf_p", *ON_POLICY, f"out={first}") == 0
    second = tmp_path / "m2"
    shutil.copytree(first, second)
    before = files_below(first)
    capsys.readouterr()
    evaluate = ("checkpoint=last", f"out={second}", "animation=false")
    assert recipe("evaluate", *evaluate) == 0
    assert f"is a copy of that in {first}" in capsys.readouterr().out
    assert recipe("ilvf_p", "resume=last", f"out={second}", "trainer.max_epochs=5") == 0
    assert files_below(first) == before
    assert frames_of(only_run(second) / "checkpoints" / "last.ckpt") == 5 * 40


def test_a_store_that_was_copied_without_its_files_is_not_continued(tmp_path, out, recipe, capsys):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    second = tmp_path / "m2"
    shutil.copytree(out, second, ignore=shutil.ignore_patterns("artifacts", "m2"))
    capsys.readouterr()
    assert recipe("ilvf_p", "resume=last", f"out={second}", "trainer.max_epochs=5") == 2
    error = capsys.readouterr().err
    assert f"keeps this run's files in {out}, which still exists" in error


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


def test_a_run_that_was_killed_after_its_last_iteration_is_closed(out, recipe, capsys):
    """Its folder is complete, and MLflow lacks its end."""
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    client = MlflowClient(tracking_uri(out))
    (run,) = client.search_runs([client.get_experiment_by_name("encircle").experiment_id])
    client.update_run(run.info.run_id, status="RUNNING")
    shutil.rmtree(out / "artifacts")
    capsys.readouterr()
    assert recipe("ilvf_p", "resume=last", f"out={out}") == 0
    assert "has done its 4 iterations; its records are completed" in capsys.readouterr().out
    assert status(out) == "FINISHED"
    assert list(out.glob("artifacts/*/artifacts/checkpoints/last.ckpt"))
    assert len(read_rows(only_run(out) / METRICS)) == 4


def test_a_resumed_run_needs_more_iterations(out, recipe, capsys):
    assert recipe("ilvf_p", *ON_POLICY, f"out={out}") == 0
    for iterations in (3, 4):
        arguments = ("resume=last", f"out={out}", f"trainer.max_epochs={iterations}")
        assert recipe("ilvf_p", *arguments) == 2
        assert "has done 4 iterations already" in capsys.readouterr().err
