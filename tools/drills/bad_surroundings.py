"""Unusable folders, environment variables and words on the command line."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from drills.bad_files import (
    Arguments,
    Surrounding,
    checkpoints,
    edited_checkpoints,
    fixed,
    yaml_files,
)


def surroundings(run: Path) -> Iterator[Surrounding]:
    """All cases; `run` is the folder of a finished run."""
    yield from yaml_files()
    yield from checkpoints(run)
    yield from edited_checkpoints(run)
    yield from folders(run)
    yield from variables()
    yield from words(run)


# ---------------------------------------------------------------------- folders
def folders(run: Path) -> Iterator[Surrounding]:
    """Folders of runs that cannot be used."""
    train = ["train", "ilvf_p"]
    yield Surrounding("out is empty", fixed([*train, "out="]), refused=False)
    yield Surrounding("out in /proc", fixed([*train, "out=/proc/runs"]))
    yield Surrounding("out is a device", fixed([*train, "out=/dev/null"]))
    yield Surrounding("out of 300 letters", fixed([*train, f"out={'x' * 300}"]))
    yield Surrounding("out of 5000 letters", fixed([*train, f"out={'x/' * 2500}"]))
    yield Surrounding("out has control characters", fixed([*train, "out=a\nb\x07"]), refused=False)
    yield Surrounding("out is not ASCII", fixed([*train, "out=läufe 数?#%"]), refused=False)
    yield Surrounding("the store is a folder", store_as(lambda path: path.mkdir()))
    yield Surrounding("the store is text", store_as(lambda path: path.write_text("no" * 999)))
    yield Surrounding("the store is empty", store_as(lambda path: path.touch()), refused=False)
    yield Surrounding(
        "the store links to nothing", store_as(lambda p: p.symlink_to("/proc/nowhere/x"))
    )
    yield Surrounding("the run's metrics are a folder", run_with(run, metrics_folder))
    yield Surrounding("the run's checkpoints are a file", run_with(run, checkpoints_file))
    yield Surrounding("the run has no pictures", run_with(run, no_pictures), refused=False)
    yield Surrounding("the run's lock is a folder", run_with(run, lock_folder))


def store_as(make: Callable[[Path], object]) -> Arguments:
    """Replace the store."""

    def arguments(folder: Path, out: Path) -> list[str]:
        (out / "mlflow.db").unlink()
        make(out / "mlflow.db")
        return ["train", "ilvf_p"]

    return arguments


def run_with(run: Path, damage: Callable[[Path], object]) -> Arguments:
    """Resume a copy of a run after some damage."""

    def arguments(folder: Path, out: Path) -> list[str]:
        shutil.copytree(run, out / run.name)
        damage(out / run.name)
        return ["train", "ilvf_p", f"resume={out / run.name}", f"out={out}", "trainer.max_epochs=5"]

    return arguments


def metrics_folder(run: Path) -> None:
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").mkdir()


def checkpoints_file(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").touch()


def no_pictures(run: Path) -> None:
    shutil.rmtree(run / "pictures")
    (run / "pictures").touch()


def lock_folder(run: Path) -> None:
    (run / "run.lock").unlink()
    (run / "run.lock").mkdir()


# ---------------------------------------------------------------------- variables and words
VARIABLES: Mapping[str, tuple[dict[str, str], bool]] = {  # environment, must it be refused?
    "a store without a scheme": ({"MLFLOW_TRACKING_URI": "bogus"}, False),
    "a store of another scheme": ({"MLFLOW_TRACKING_URI": "ftp://nowhere/x"}, True),
    "a store http://": ({"MLFLOW_TRACKING_URI": "http://"}, True),
    "a store with a bad port": ({"MLFLOW_TRACKING_URI": "http://localhost:99999999"}, True),
    "a store in a missing folder": ({"MLFLOW_TRACKING_URI": "sqlite:////proc/nowhere/a.db"}, True),
    "a store of postgresql": ({"MLFLOW_TRACKING_URI": "postgresql://nobody@127.0.0.1:1/x"}, True),
    "SLURM with a word": ({"SLURM_NTASKS": "many"}, False),
    "SLURM with 4 tasks": ({"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job"}, True),
    "SLURM with nothing": ({"SLURM_NTASKS": ""}, False),
    "LOCAL_RANK of a word": ({"LOCAL_RANK": "first"}, False),
    "torchrun without its address": (
        {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"},
        False,
    ),
    "WORLD_SIZE of a word": ({"WORLD_SIZE": "two", "RANK": "0", "LOCAL_RANK": "0"}, False),
    "CUDA_VISIBLE_DEVICES of a word": ({"CUDA_VISIBLE_DEVICES": "fast"}, False),
    "a run folder of another run": ({"ILVF_RUN_DIR": "/nowhere"}, False),
    "no home and no path": ({"HOME": "", "PATH": ""}, False),
    "another locale": ({"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}, False),
    "no temporary folder": ({"TMPDIR": "/nowhere"}, False),
}


def variables() -> Iterator[Surrounding]:
    """Environment variables that are wrong."""
    for name, (environment, refused) in VARIABLES.items():
        yield Surrounding(f"variables: {name}", fixed(["train", "ilvf_p"]), environment, refused)


def words(run: Path) -> Iterator[Surrounding]:
    """Commands, algorithms and arguments that do not exist, and values of the other commands."""
    checkpoint = f"checkpoint={run}"
    lines = {
        "an unknown command": ["trian", "ilvf_p"],
        "an unknown flag": ["--fast"],
        "an unknown algorithm": ["train", "ilvfp"],
        "no algorithm": ["train", "seed=1"],
        "seeds of 10^8": ["train", "ilvf_p", "seeds=0-100000000"],
        "seeds in the wrong order": ["train", "ilvf_p", "seeds=4-0"],
        "seeds below zero": ["train", "ilvf_p", "seeds=-1"],
        "a seed twice": ["train", "ilvf_p", "seeds=0,0,x"],
        "more GPUs than there are": ["train", "ilvf_p", "trainer.devices=[0,7]"],
        "a team of a million": ["train", "ilvf_p", "env.n_agents=1000000"],
        "a task that is no module": ["train", "ilvf_p", "env=pettingzoo", "env.task=a b"],
        "a task that fails": ["train", "ilvf_p", "env=pettingzoo", "env.task=os:abort_not"],
        "arguments that the task lacks": ["train", "ilvf_p", "env=pettingzoo", "env.kwargs={x: 1}"],
        "a network that is missing": ["train", "ilvf_p", "env=sumo", "env.net_file=a.net.xml"],
        "evaluate without anything": ["evaluate"],
        "evaluate an unknown rule": ["evaluate", "policy=best"],
        "evaluate another seed's size": ["evaluate", checkpoint, "env.n_agents=8"],
        "audit with level 7": ["audit", checkpoint, "audit.states=2", "audit.level=7"],
        "audit with level nan": ["audit", checkpoint, "audit.states=2", "audit.level=nan"],
        "influence at moment 2": ["influence", checkpoint, "influence.moments=2"],
        "influence at no moment": ["influence", checkpoint, "influence.moments="],
        "traffic without roads": ["traffic", checkpoint],
        "compare without a store": ["compare", "out=/nowhere"],
        "compare by an unknown key": ["compare", f"out={run.parent}", "compare.by=colour"],
        "compare by SQL": ["compare", f"out={run.parent}", "compare.where='; drop table runs"],
        "compare an unknown experiment": ["compare", f"out={run.parent}", "compare.experiment=x"],
        "compare an empty experiment": ["compare", f"out={run.parent}", "compare.experiment="],
        "compare into no picture": ["compare", f"out={run.parent}", "compare.picture=a.xyz"],
        "compare into a missing folder": [
            "compare",
            f"out={run.parent}",
            "compare.picture=/no/a.png",
        ],
        "theory into a missing folder": ["theory", "picture=/proc/nowhere/a.png"],
        "theory into no picture": ["theory", "picture=a.xyz"],
    }
    for name, arguments in lines.items():
        bare = name in ("no algorithm", "an unknown algorithm")
        yield Surrounding(f"words: {name}", fixed(arguments), bare=bare)
