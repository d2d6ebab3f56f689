"""SIGINT and SIGTERM while something is recorded: every value once, and the right status."""

import signal
import threading

import pytest
from lightning.pytorch.loggers import MLFlowLogger
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.algorithms.ilvf_p import ILVFP
from ilvf.experiment import run_folder
from ilvf.experiment.interrupts import signals_held
from ilvf.experiment.metrics_file import METRICS
from run_helpers import logged_frames, metric_history, only_mlflow_run, only_run
from tracking_helpers import row, row_frames, started_tracker


def interrupt(times):
    """Press Ctrl-C some times."""
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


@pytest.fixture
def after_sending(monkeypatch):
    """after_sending(f, at=40) calls `f` once, when the row at 40 frames has reached the store."""

    def patch(call, at=40):
        send = MLFlowLogger.log_metrics
        waiting = [at]

        def send_and_call(logger, metrics, step=None):
            send(logger, metrics, step)
            if step in waiting:
                waiting.remove(step)
                call()

        monkeypatch.setattr(MLFlowLogger, "log_metrics", send_and_call)

    return patch


# ---------------------------------------------------------------------- blocks
def test_held_signals_arrive_after_the_block_in_their_order():
    received = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: received.append(number))
        with signals_held():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert received == []
        assert received == [signal.SIGTERM, signal.SIGINT]
        signal.raise_signal(signal.SIGINT)
        assert len(received) == 3
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_a_third_signal_interrupts_the_block():
    reached = []

    def work():
        with signals_held():
            interrupt(2)
            reached.append("two")
            interrupt(1)
            reached.append("three")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == ["two"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_blocks_in_another_thread_change_no_handler():
    found = []

    def work():
        with signals_held():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


# ---------------------------------------------------------------------- records
@pytest.mark.parametrize("times", [1, 2, 3])
def test_interrupts_while_a_row_is_sent_record_it_once(times, out, after_sending):
    tracker = started_tracker(out)
    after_sending(lambda: interrupt(times))
    with pytest.raises(KeyboardInterrupt):
        tracker.log_metrics(row(40), 40)
    tracker.close("KILLED")
    assert metric_history(out) == [(40, 4.0)]
    assert row_frames(tracker.run_dir) == [40]
    assert only_mlflow_run(out).info.status == "KILLED"


def test_a_row_whose_answer_is_lost_is_recorded_once(out, after_sending, recwarn):
    """The store has written the row, and its answer does not arrive."""

    def lose_answer():
        raise OSError("timed out")

    tracker = started_tracker(out)
    after_sending(lose_answer)
    for frames in (40, 80):
        tracker.log_metrics(row(frames), frames)
    tracker.close("FINISHED")
    assert metric_history(out) == [(40, 4.0), (80, 8.0)]
    assert not any("did not reach" in str(warning.message) for warning in recwarn)


@pytest.mark.parametrize("times", [1, 2])
def test_interrupts_while_a_run_is_closed_wait_for_its_status(times, out, monkeypatch):
    tracker = started_tracker(out)
    tracker.log_metrics(row(40), 40)
    set_terminated = MlflowClient.set_terminated

    def interrupted(*args):
        interrupt(times)
        set_terminated(*args)

    monkeypatch.setattr(MlflowClient, "set_terminated", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tracker.close("FINISHED")
    assert only_mlflow_run(out).info.status == "FINISHED"
    assert metric_history(out) == [(40, 4.0)]


def test_a_third_interrupt_while_a_run_is_closed_leaves_its_metrics_file_whole(out, monkeypatch):
    """The disk was full, so that the file's row is written when the run is closed."""

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    tracker = started_tracker(out)
    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "append_row", full_disk)
        tracker.log_metrics(row(40), 40)
    assert row_frames(tracker.run_dir) == []
    monkeypatch.setattr(MlflowClient, "set_terminated", lambda *args: interrupt(3))
    with pytest.raises(KeyboardInterrupt):
        tracker.close("FINISHED")
    assert row_frames(tracker.run_dir) == [40]


# ---------------------------------------------------------------------- whole runs
def test_a_second_interrupt_while_a_row_is_sent_ends_the_run_as_killed(
    out, recipe, after_sending, capfd
):
    after_sending(lambda: interrupt(2), at=80)
    assert recipe("ilvf_p", *TINY, f"out={out}", "trainer.max_epochs=9") == 130
    assert "Traceback" not in capfd.readouterr().err
    assert logged_frames(out) == [40, 80]
    assert row_frames(only_run(out)) == [40, 80]
    assert only_mlflow_run(out).info.status == "KILLED"


def test_an_interrupt_before_the_training_begins_ends_the_run_as_killed(out, recipe, monkeypatch):
    monkeypatch.setattr(ILVFP, "on_fit_start", lambda module: interrupt(1))
    assert recipe("ilvf_p", *TINY, f"out={out}") == 130
    assert only_mlflow_run(out).info.status == "KILLED"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a notebook goes on


def test_an_interrupt_in_the_last_iteration_leaves_a_finished_run(out, recipe, after_sending):
    after_sending(lambda: interrupt(1), at=80)
    assert recipe("ilvf_p", *TINY, f"out={out}") == 130
    assert only_mlflow_run(out).info.status == "FINISHED"


def test_an_interrupt_while_files_are_stored_does_not_leave_the_run_open(out, recipe, monkeypatch):
    log_artifact = MlflowClient.log_artifact

    def interrupted(client, run_id, path, folder=None):
        if path.endswith(METRICS):
            interrupt(2)
        log_artifact(client, run_id, path, folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", interrupted)
    assert recipe("ilvf_p", *TINY, f"out={out}") == 130
    assert only_mlflow_run(out).info.status == "FINISHED"
    assert logged_frames(out) == [40, 80]
