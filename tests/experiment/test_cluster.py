"""Jobs through submitit: on this machine, and as arrays of a small stand-in for SLURM."""

import json
import os
import signal
import stat
import sys
import threading
import time

import pytest

from ilvf.experiment import cluster
from ilvf.experiment.cluster import BOOK, ClusterEngine
from ilvf.experiment.engine_options import EngineOptions
from ilvf.experiment.jobs import Job

pytest.importorskip("submitit")

# `sbatch` notes its script and runs the jobs of the array when there is a file `go`; `sacct` knows
# the states in a file, and `scancel` notes jobs. That is all of SLURM that submitit uses.
SBATCH = """
import os, pathlib, re, subprocess, sys
here = pathlib.Path(__file__).parent
text = pathlib.Path(sys.argv[-1]).read_text()
(here / "script.sh").write_text(text)
with (here / "calls").open("a") as calls:
    calls.write("sbatch ")
number = int(re.search(r"--array=0-(\\d+)", text)[1]) + 1
output = re.search(r"#SBATCH --output=(\\S+)", text)[1].replace("%A", "77")
for task in range(number):
    ids = {"SLURM_JOB_ID": "77", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": str(task)}
    wait = f"while ! [ -f {here / 'go'} ]; do sleep 0.1; done"
    run = f"{wait}; . {here / 'script.sh'} > {output.replace('%a', str(task))} 2>&1"
    subprocess.Popen(
        ["bash", "-c", run],
        env={**os.environ, **ids},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
print("Submitted batch job 77")
"""
SRUN = """
import os, sys
words = sys.argv[4:]  # after --unbuffered --output FILE
os.execvp(words[0], words)
"""
SACCT = """
import pathlib
path = pathlib.Path(__file__).parent / "states"
print("JobID|State|NodeList")
print(path.read_text() if path.exists() else "")
"""

SCANCEL = """
import pathlib, sys
with (pathlib.Path(__file__).parent / "cancelled").open("a") as cancelled:
    cancelled.write(f"{sys.argv[1]} ")
"""
PROGRAMS = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT, "scancel": SCANCEL}


@pytest.fixture(autouse=True)
def _handlers_kept(monkeypatch):
    monkeypatch.setattr(cluster, "POLL", 0.1)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder of programs that stand in for SLURM, at the front of the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, code in PROGRAMS.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{code}")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def engine(tmp_path, accelerator="cpu", **options):
    options = {"cluster": "local", **options}
    return ClusterEngine(tmp_path / "jobs", EngineOptions(**options), accelerator)


def job(tmp_path, name, code, **variables):
    (tmp_path / "logs").mkdir(exist_ok=True)
    return Job((sys.executable, "-c", code), tmp_path / "logs" / f"{name}.log", variables)


# ---------------------------------------------------------------------- this machine
def test_jobs_have_their_variables_and_logs_and_report_their_failures(tmp_path):
    code = "import os, sys; print('τ', os.environ['A']); sys.exit(os.environ['A'] == 'b')"
    jobs = [job(tmp_path, name, code, A=name) for name in "ab"]
    ended = []
    failed = engine(tmp_path).run(jobs, lambda job, code: ended.append((job.name, code)))
    assert failed == [jobs[1]]
    assert sorted(ended) == [("a", 0), ("b", 1)]
    assert "τ a\n" in jobs[0].log.read_text()
    assert "τ b\n" in jobs[1].log.read_text()


def test_no_more_jobs_run_at_a_time_than_parallel_says(tmp_path):
    only = str(tmp_path / "only")
    code = f"import os; os.mkdir({only!r}); os.rmdir({only!r})"
    jobs = [job(tmp_path, name, code) for name in "abc"]
    assert engine(tmp_path, parallel=1).run(jobs) == []


def test_a_process_of_this_machine_is_known_by_its_lock_only(tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / BOOK).write_text(json.dumps({"a": "1"}))
    assert engine(tmp_path).alive() == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cluster": "slurm"}, ("engine=submitit", "srun")),
        ({"more": {"slurm_qos": "low", "quality": 3}}, ("engine=submitit", "quality")),
        ({"more": {"slurm_qoss": 3}}, ("engine=submitit", "qoss")),
        ({"more": {"timeout_min": "long"}}, ("engine=submitit", "timeout_min")),
    ],
)
def test_options_that_submitit_does_not_know_are_refused(options, words, tmp_path, refused):
    with refused(*words):
        engine(tmp_path, **options)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, refused):
    (tmp_path / "jobs").write_text("a file")
    with refused("engine=submitit", "exists"):
        engine(tmp_path)


def test_without_submitit_the_command_to_install_it_is_named(tmp_path, monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with refused("needs submitit", 'pip install "ilvf[submitit]"'):
        engine(tmp_path)


# ---------------------------------------------------------------------- SLURM
def test_jobs_are_one_array_with_the_resources(tmp_path, slurm):
    options = {
        "partition": "long",
        "timeout_min": 30,
        "cpus_per_task": 2,
        "mem_gb": 4.0,
        "parallel": 2,
        "more": {"slurm_qos": "low"},
    }
    jobs = [job(tmp_path, name, f"print('job {name}')") for name in "abc"]
    (slurm / "go").touch()
    found = engine(tmp_path, cluster="auto", accelerator="gpu", **options)
    assert found.width() == 2
    assert found.run(jobs) == []
    assert [f"job {job.name}\n" in job.log.read_text() for job in jobs] == [True] * 3
    script = (slurm / "script.sh").read_text()
    for flag in (
        "array=0-2%2",
        "partition=long",
        "time=30",
        "cpus-per-task=2",
        "mem=4GB",
        "gpus-per-node=1",
        "qos=low",
        "no-requeue",
    ):
        assert f"#SBATCH --{flag}\n" in script


def test_jobs_of_an_earlier_call_are_waited_for_and_not_submitted_again(tmp_path, slurm):
    """The calling process is interrupted while its jobs wait in the queue."""
    jobs = [job(tmp_path, name, f"print('job {name}')") for name in "ab"]
    interrupt = threading.Thread(target=interrupt_after, args=[tmp_path / "jobs" / BOOK])
    interrupt.start()
    with pytest.raises(SystemExit) as caught:
        engine(tmp_path, cluster="slurm").run(jobs)
    interrupt.join()
    assert caught.value.code == 130
    again = engine(tmp_path, cluster="slurm")
    assert again.alive() == {"a", "b"}
    (slurm / "go").touch()
    assert again.run(jobs) == []
    assert "job b\n" in jobs[1].log.read_text()
    assert (slurm / "calls").read_text() == "sbatch "


def interrupt_after(path):
    """Send SIGINT to this process when a file exists."""
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_job_that_slurm_has_ended_is_not_alive(tmp_path, slurm):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / BOOK).write_text(json.dumps({"a": "5_0", "b": "5_1"}))
    (slurm / "states").write_text("5_0|TIMEOUT|x\n5_1|RUNNING|x\n")
    assert engine(tmp_path, cluster="slurm").alive() == {"b"}


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_damaged_list_of_jobs_is_refused(text, tmp_path, slurm, refused):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / BOOK).write_text(text)
    with refused(BOOK, "delete it"):
        engine(tmp_path, cluster="slurm")


def test_jobs_whose_list_cannot_be_written_are_cancelled(tmp_path, slurm, refused):
    """Without the list a later call would submit them once more."""
    (tmp_path / "jobs" / f"{BOOK}.part").mkdir(parents=True)
    jobs = [job(tmp_path, name, "") for name in "ab"]
    with refused(BOOK, "cannot be written", "2 jobs", "cancelled"):
        engine(tmp_path, cluster="slurm").run(jobs)
    assert (slurm / "cancelled").read_text() == "77_0 77_1 "
    (slurm / "go").touch()  # the stand-in's jobs end


def test_jobs_that_slurm_refuses_are_an_error(tmp_path, slurm, refused):
    code = "import sys; sys.exit('invalid partition specified: x')"
    (slurm / "sbatch").write_text(f"#!{sys.executable}\n{code}")
    with refused("does not accept the jobs", "invalid partition"):
        engine(tmp_path, cluster="slurm").run([job(tmp_path, "a", ""), job(tmp_path, "b", "")])
