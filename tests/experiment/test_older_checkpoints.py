"""A run that is resumed from one of its older checkpoints: no curve mixes old and new results."""

import json
import shutil
from dataclasses import replace

import pytest

from helpers import TINY
from ilvf.checkpoints.files import read_checkpoint
from ilvf.experiment.history import read_runs
from ilvf.experiment.metrics_file import METRICS, append_row, read_rows
from ilvf.experiment.resumed import Resumed, repeats_iteration
from run_helpers import last_checkpoint, metric_history, mlflow_client, mlflow_runs, only_run
from tracking_helpers import row, row_frames, started_tracker

LR = {"algorithm.lr": 0.1}
LONGER = {"trainer.max_epochs": 9}


def resumed(out, changes, frames=120):
    """The checkpoint of iteration 3 of the run in `out/run`, whose iterations have 40 frames."""
    return Resumed(out / "run" / "checkpoints" / "older.ckpt", frames, frames + 40, changes)


def values_of(run):
    """frames → reward in `metrics.jsonl`."""
    return {found["frames"]: found["reward/agent_step"] for found in read_rows(run / METRICS)}


def history_of(out, run_id):
    """frames → values of the reward in an MLflow run."""
    found = {}
    for point in mlflow_client(out).get_metric_history(run_id, "reward/agent_step"):
        found.setdefault(point.step, []).append(point.value)
    return found


@pytest.fixture
def recorded(out):
    """recorded(6): the ID of a run that has recorded 6 iterations, with two checkpoints."""

    def record(iterations):
        tracker = started_tracker(out)
        for iteration in range(1, iterations + 1):
            tracker.log_metrics(row(40 * iteration), 40 * iteration)
        tracker.close("FINISHED")
        folder = out / "run" / "checkpoints"
        folder.mkdir()
        (folder / "older.ckpt").write_text("iteration 3")
        (folder / "last.ckpt").write_text(f"iteration {iterations}")
        return tracker.run_id

    return record


@pytest.mark.parametrize(
    ("later", "changes", "replaces"),
    [
        ([], LR, False),
        ([160], LONGER, False),  # killed between record and checkpoint
        ([160], LR, True),
        ([160, 200], LONGER, True),
        ([200], {}, True),
        ([10**12], {}, True),
    ],
)
def test_records_after_the_checkpoint_are_replaced_unless_they_would_be_the_same(
    later, changes, replaces, tmp_path
):
    assert resumed(tmp_path, changes).replaces([40, 80, 120, *later]) is replaces


@pytest.mark.parametrize(
    ("last", "lr_end", "repeats"),
    [(9, 0.0, True), (12, None, True), (12, 0.0, False), (4, None, False)],
)
def test_an_iteration_depends_on_the_number_of_iterations(last, lr_end, repeats, tmp_path):
    """The fourth iteration of nine, if the run is resumed with another number."""
    old = {"trainer.max_epochs": 9, "algorithm.lr_end": lr_end}
    new = old | {"trainer.max_epochs": last}
    assert repeats_iteration(4, old, new) is repeats
    assert repeats_iteration(4, new, old) is repeats
    checkpoint = replace(resumed(tmp_path, LONGER), repeats=repeats)
    assert checkpoint.replaces([40, 80, 120, 160]) is not repeats


def test_an_older_checkpoint_replaces_later_rows_and_keeps_the_old_files(out, recorded, capsys):
    recorded(6)
    tracker = started_tracker(out, resumed=resumed(out, LR))
    tracker.log_metrics(row(160, -1.0), 160)
    run = out / "run"
    assert values_of(run) == {40: 4, 80: 8, 120: 12, 160: -1}
    assert row_frames(run) == [40, 80, 120, 160]
    kept = read_rows(run / "metrics-before-resuming-at-120.jsonl")
    assert [found["frames"] for found in kept] == [40, 80, 120, 160, 200, 240]
    folder = run / "checkpoints"
    assert (folder / "last-before-resuming-at-120.ckpt").read_text() == "iteration 6"
    assert (folder / "last.ckpt").read_text() == "iteration 3"
    said = capsys.readouterr().out
    assert f"what {run / METRICS} has after older.ckpt (120 frames) is computed again" in said
    assert "last-before-resuming-at-120.ckpt and metrics-before-resuming-at-120.jsonl" in said


def test_an_older_checkpoint_goes_on_in_a_new_mlflow_run(out, recorded, capsys):
    old = recorded(6)
    tracker = started_tracker(out, old, resumed(out, LR))
    tracker.log_metrics(row(160, -1.0), 160)
    tracker.close("FINISHED")
    assert tracker.run_id != old
    assert history_of(out, old) == {40 * k: [4.0 * k] for k in range(1, 7)}
    assert history_of(out, tracker.run_id) == {40: [4], 80: [8], 120: [12], 160: [-1]}
    tags = mlflow_client(out).get_run(tracker.run_id).data.tags
    assert tags["resume.run"] == old
    assert tags["resume.frames"] == "120"
    assert json.loads(tags["resume.changes"])["algorithm.lr"] == 0.1
    assert f"the MLflow run {old} went on after older.ckpt (120 frames)" in capsys.readouterr().out


def test_a_run_is_compared_by_the_options_that_its_resumes_have_set(out, recorded):
    run = recorded(3)
    for iteration, changes in ((4, LR), (5, LONGER)):
        tracker = started_tracker(out, run, resumed(out, changes, frames=40 * (iteration - 1)))
        tracker.log_metrics(row(40 * iteration), 40 * iteration)
        tracker.close("FINISHED")
    assert tracker.run_id == run
    mlflow_client(out).log_param(run, "seed", 0)
    (found,) = read_runs(tracker.uri, "encircle", "reward/agent_step")
    assert found.params["algorithm.lr"] == "0.1"
    assert found.params["trainer.max_epochs"] == "9"


def test_going_back_twice_keeps_the_files_of_both_times(out, recorded):
    old = recorded(6)
    for value in (-1.0, -2.0):
        tracker = started_tracker(out, old, resumed(out, LR))
        tracker.log_metrics(row(160, value), 160)
        tracker.close("FINISHED")
    run = out / "run"
    assert values_of(run)[160] == -2
    first = json.loads((run / "metrics-before-resuming-at-120.jsonl").read_text().split("\n")[3])
    again = json.loads((run / "metrics-before-resuming-at-120-2.jsonl").read_text().split("\n")[3])
    assert [first["reward/agent_step"], again["reward/agent_step"]] == [16, -1]
    assert len(mlflow_runs(out)) == 3


@pytest.mark.parametrize("in_store", [True, False])
def test_a_row_that_a_kill_has_left_after_the_checkpoint_stays(in_store, out, recorded):
    """The row of iteration 4 is in the file, and in the store or not; then the run was killed."""
    old = recorded(4 if in_store else 3)
    if not in_store:
        append_row(out / "run" / METRICS, 160, row(160))
    tracker = started_tracker(out, old, resumed(out, LONGER))
    for frames in (160, 200):
        tracker.log_metrics(row(frames, -1.0), frames)
    tracker.close("FINISHED")
    assert tracker.run_id == old
    assert values_of(out / "run") == {40: 4, 80: 8, 120: 12, 160: 16, 200: -1}
    assert metric_history(out) == [(40, 4), (80, 8), (120, 12), (160, 16), (200, -1)]
    assert not list((out / "run").rglob("*before-resuming*"))


def test_a_huge_count_of_frames_in_the_file_hides_no_later_rows(out, recorded):
    """A damaged row with 10^12 frames is kept aside, and the MLflow run goes on."""
    old = recorded(3)
    append_row(out / "run" / METRICS, 10**12, row(10**12))
    tracker = started_tracker(out, old, resumed(out, LONGER))
    tracker.log_metrics(row(160), 160)
    tracker.close("FINISHED")
    assert row_frames(out / "run") == [40, 80, 120, 160]
    assert metric_history(out) == [(40, 4), (80, 8), (120, 12), (160, 16)]


def test_a_file_that_cannot_be_kept_is_one_sentence(out, recorded, refused, monkeypatch):
    recorded(6)

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ilvf.experiment.resumed.shutil.copy2", full_disk)
    with refused("older.ckpt", str(out / "run"), "No space left on device"):
        started_tracker(out, resumed=resumed(out, LR))
    assert len(row_frames(out / "run")) == 6


@pytest.mark.slow
def test_a_whole_run_goes_back_and_goes_on(out, recipe, capsys):
    """Four iterations; back to the second with another learning rate; then on by `last`."""
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    run = only_run(out)
    folder = run / "checkpoints"
    shutil.copy(folder / "last.ckpt", folder / "older.ckpt")
    assert recipe("ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=4") == 0
    before = read_rows(run / METRICS)
    old = last_checkpoint(out)["ilvf"]["run"]

    options = ("algorithm.lr=0.1", "trainer.max_epochs=3")
    assert recipe("ilvf_p", f"resume={folder / 'older.ckpt'}", f"out={out}", *options) == 0
    rows = read_rows(run / METRICS)
    assert [found["frames"] for found in rows] == [40, 80, 120]
    assert rows[:2] == before[:2]
    assert rows[2]["loss/value"] != before[2]["loss/value"]
    assert read_rows(run / "metrics-before-resuming-at-80.jsonl") == before
    kept = read_checkpoint(folder / "last-before-resuming-at-80.ckpt")
    assert kept["ilvf"]["state"]["frames"] == 160

    assert recipe("ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=4") == 0
    new = last_checkpoint(out)["ilvf"]["run"]
    assert new != old
    assert sorted(history_of(out, new)) == [40, 80, 120, 160]
    assert history_of(out, old)[120] == [before[2]["reward/agent_step"]]
    assert len(mlflow_runs(out)) == 2


@pytest.mark.slow
def test_the_run_goes_on_from_one_of_the_best_evaluations(out, recipe):
    """It becomes the best, and those after it are kept under other names."""
    options = ("algorithm.eval_every=1", "trainer.max_epochs=4", "trainer.save_top_k=4")
    assert recipe("ilvf_p", *TINY, f"out={out}", *options) == 0
    folder = only_run(out) / "checkpoints"
    assert {path.name for path in folder.glob("top-*")} == {f"top-{k}.ckpt" for k in range(4)}
    shutil.copy(folder / "last.ckpt", folder / "best.ckpt")  # as if iteration 4 were best
    top = folder / "top-1.ckpt"
    more = (f"resume={top}", "algorithm.eval_every=100", "trainer.max_epochs=3")
    assert recipe("ilvf_p", *more, f"out={out}") == 0
    best = read_checkpoint(folder / "best.ckpt")["ilvf"]["state"]["frames"]
    assert best in (80, 120)  # it, or the evaluation at the end of the run
    names = {path.name for path in folder.glob("top-*")}
    later = {f"top-{k}-before-resuming-at-80.ckpt" for k in (2, 3)}
    assert names >= {"top-0.ckpt", "top-1.ckpt", *later}
    assert "top-3.ckpt" not in names


@pytest.mark.slow
def test_a_better_checkpoint_of_the_replaced_iterations_is_no_longer_best(out, recipe):
    options = ("algorithm.eval_every=1", "trainer.max_epochs=1")
    assert recipe("ilvf_p", *TINY, f"out={out}", *options) == 0
    folder = only_run(out) / "checkpoints"
    shutil.copy(folder / "last.ckpt", folder / "older.ckpt")
    assert recipe("ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=4") == 0
    shutil.copy(folder / "last.ckpt", folder / "best.ckpt")  # as if iteration 4 were best

    more = (f"resume={folder / 'older.ckpt'}", "algorithm.lr=0.1", "trainer.max_epochs=2")
    assert recipe("ilvf_p", *more, f"out={out}") == 0
    kept = read_checkpoint(folder / "best-before-resuming-at-40.ckpt")
    assert kept["ilvf"]["state"]["frames"] == 160
    best = folder / "best.ckpt"
    assert not best.exists() or read_checkpoint(best)["ilvf"]["state"]["frames"] == 80
