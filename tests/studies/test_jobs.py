"""Processes of runs: places, variables, exit codes, and how they are stopped."""

import os
import signal
import sys
import threading
import time

import pytest

from ilvf.experiment.jobs import Job, require_all_succeeded, run_jobs

PATIENCE = 60.0  # [s] after which a process that hangs fails its test
WAITING = """
import pathlib, signal, sys, time

def stop(*_):
    pathlib.Path(sys.argv[1]).write_text("saved")
    sys.exit(130)

signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
time.sleep(600)
"""


def python(tmp_path, name, code, *arguments, **variables):
    command = (sys.executable, "-c", code, *arguments)
    return Job(command, tmp_path / f"{name}.log", variables)


def wait_until_ready(log):
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_jobs_run_in_places_and_report_their_exit_codes(tmp_path):
    code = (
        "import os, sys; print(os.environ['A'], os.environ['P']); sys.exit(os.environ['A'] == 'b')"
    )
    jobs = [python(tmp_path, name, code, A=name) for name in "abc"]
    ended = []
    failed = run_jobs(jobs, [{"P": "x"}, {"P": "x"}], lambda job, code: ended.append((job, code)))
    assert failed == [jobs[1]]
    assert sorted(code for _, code in ended) == [0, 0, 1]
    assert {job for job, _ in ended} == set(jobs)
    assert [job.log.read_text() for job in jobs] == ["a x\n", "b x\n", "c x\n"]


def test_the_handler_of_sigterm_is_restored(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    during = []
    job = python(tmp_path, "a", "pass")
    run_jobs([job], [{}], lambda *_: during.append(signal.getsignal(signal.SIGTERM)))
    assert during == [signal.default_int_handler]
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_more_jobs_run_at_a_time_than_there_are_places(tmp_path):
    code = "import os, sys; os.mkdir(sys.argv[1]); os.rmdir(sys.argv[1])"
    jobs = [python(tmp_path, name, code, str(tmp_path / "only")) for name in "abcd"]
    assert run_jobs(jobs, [{}]) == []


def test_an_error_while_a_result_is_read_stops_the_other_runs(tmp_path):
    saved = tmp_path / "saved"
    waiting = python(tmp_path, "waiting", WAITING, str(saved))

    def ended(job, code):
        wait_until_ready(waiting.log)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        run_jobs([waiting, python(tmp_path, "short", "")], [{}, {}], ended)
    assert saved.read_text() == "saved"


def test_ctrl_c_lets_the_runs_save(tmp_path):
    saved = tmp_path / "saved"
    waiting = python(tmp_path, "waiting", WAITING, str(saved))

    def interrupt():
        wait_until_ready(waiting.log)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(SystemExit) as caught:
        run_jobs([waiting], [{}])
    thread.join()
    assert caught.value.code == 130
    assert saved.read_text() == "saved"


def test_failed_runs_are_named_by_their_logs(tmp_path, refused):
    jobs = [python(tmp_path, name, "") for name in "ab"]
    require_all_succeeded(jobs, [])
    with refused("1 of 2 runs failed", str(jobs[1].log)):
        require_all_succeeded(jobs, jobs[1:])


def test_the_words_of_a_job_are_not_read_by_a_shell(tmp_path):
    job = python(tmp_path, "a", "import sys; print(sys.argv[1])", "τ = 0.5; $HOME")
    assert run_jobs([job], [{}]) == []
    assert job.log.read_text() == "τ = 0.5; $HOME\n"
