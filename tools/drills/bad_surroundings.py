"""Bad files, folders, environment variables and words on the command line."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from drills.evil_files import changed

Arguments = Callable[[Path, Path], list[str]]  # (folder for files, folder of runs) → arguments


@dataclass(frozen=True)
class Surrounding:
    """A case.

    Attributes:
        what: is wrong.
        arguments: of the command; makes the files.
        environment: more environment variables.
        refused: the command must refuse it; otherwise it may.
        bare: the arguments are complete; otherwise sizes of a short training are added.
    """

    what: str
    arguments: Arguments
    environment: Mapping[str, str] = field(default_factory=dict)
    refused: bool = True
    bare: bool = False


def surroundings(run: Path) -> Iterator[Surrounding]:
    """All cases; `run` is the folder of a finished run."""
    yield from yaml_files()
    yield from checkpoints(run)
    yield from edited_checkpoints(run)
    yield from folders(run)
    yield from variables()
    yield from words(run)


# ---------------------------------------------------------------------- yaml
YAML: Mapping[str, bytes] = {
    "empty": b"",
    "a list": b"- 1\n- 2\n",
    "a number": b"5\n",
    "not UTF-8": b"\xff\xfe\x00",
    "zeros": bytes(100),
    "nested 10,000 deep": b"a: " + b"[" * 10_000,
    "mappings nested 2,000 deep": b"{a: " * 2000 + b"1" + b"}" * 2000,
    "contains itself": b"algorithm: &a\n  x: *a\n",
    "aliases of aliases": b"a0: &a0 {x: 1}\n"
    + b"".join(
        b"a%d: &a%d {%s}\n" % (k, k, b", ".join(b"k%d: *a%d" % (j, k - 1) for j in range(9)))
        for k in range(1, 10)
    ),
    "keys that are no words": b"algorithm: {1: 2, null: 3, 2.5: 4}\n",
    "a key that is a list": b"? [1, 2]\n: 3\n",
    "a date": b"algorithm: {lr: 2020-01-01}\n",
    "binary": b"algorithm: {lr: !!binary aGVsbG8=}\n",
    "a number of 5000 digits": b"algorithm: {epochs: " + b"9" * 5000 + b"}\n",
    "a section that is a list": b"algorithm: [1, 2]\n",
    "a misspelt section": b"algoritm: {lr: 0.1}\n",
    "twice the same key": b"algorithm: {lr: 0.1}\nalgorithm: {lr: 0.2}\n",
}
ACCEPTED = {"keys that are no words", "twice the same key", "a misspelt section"}


def yaml_files() -> Iterator[Surrounding]:
    """Yaml files as presets and as environments."""
    for name, content in YAML.items():
        for kind in ("preset", "env"):
            refused = kind == "env" or name not in {*ACCEPTED, "aliases of aliases", "binary"}
            yield Surrounding(
                f"{kind}: a yaml file, {name}", yaml_argument(kind, content), refused=refused
            )


def yaml_argument(kind: str, content: bytes) -> Arguments:
    """Write a yaml file and name it."""

    def arguments(folder: Path, out: Path) -> list[str]:
        path = folder / "mine.yaml"
        path.write_bytes(content)
        return ["train", "ilvf_p", f"{kind}={path}"]

    return arguments


# ---------------------------------------------------------------------- checkpoints
FILES: Mapping[str, bytes] = {
    "empty": b"",
    "text": b"hello\n",
    "a zip file's beginning": b"PK\x03\x04",
    "an empty zip file": b"PK\x05\x06" + bytes(18),
}


def checkpoints(run: Path) -> Iterator[Surrounding]:
    """Files that are no checkpoints, for all readers."""
    for command in ("train ilvf_p", "evaluate", "audit"):
        key = "resume" if command.startswith("train") else "checkpoint"
        for name, content in FILES.items():
            yield Surrounding(f"{command}: a file, {name}", file_argument(command, key, content))
        for name, path in {
            "a folder": "/",
            "a device": "/dev/null",
            "the own process": "/proc/self",
        }.items():
            arguments = fixed([*command.split(), f"{key}={path}"])
            yield Surrounding(f"{command}: {name}", arguments, bare=True)


def file_argument(command: str, key: str, content: bytes) -> Arguments:
    """Write a file and name it as checkpoint."""

    def arguments(folder: Path, out: Path) -> list[str]:
        path = folder / "mine.ckpt"
        path.write_bytes(content)
        return [*command.split(), f"{key}={path}", f"out={out}"]

    return arguments


EDITS: Mapping[str, tuple[str, object]] = {
    "an actor of a word": ("ilvf.actor.n_agents", "four"),
    "an actor of 10^9 units": ("ilvf.actor.hidden", 10**9),
    "an actor with an unknown argument": ("ilvf.actor.colour", "red"),
    "an actor of no depth": ("ilvf.actor.depth", -1),
    "another number of agents": ("ilvf.actor.n_agents", 6),
    "generators of a word": ("ilvf.state.ranks.0.generators.torch", "x"),
    "generators of another size": (
        "ilvf.state.ranks.0.generators.torch",
        torch.zeros(3, dtype=torch.uint8),
    ),
    "no numpy generator": ("ilvf.state.ranks.0.generators.numpy", None),
    "an environment of other entries": ("ilvf.state.ranks.0.env", {"a": torch.zeros(4)}),
    "an environment of numbers": ("ilvf.state.ranks.0.env", {"rng": 5}),
    "frames below zero": ("ilvf.state.frames", -5),
    "frames of 10^30": ("ilvf.state.frames", 10**30),
    "an epoch of 10^30": ("epoch", 10**30),
    "an epoch below zero": ("epoch", -9),
    "no optimizer states": ("optimizer_states", []),
    "optimizer states of a word": ("optimizer_states", "x"),
    "optimizer moments of another shape": ("optimizer_states.0.state", {}),
    "no loops": ("loops", {}),
    "callbacks of a word": ("callbacks", "x"),
    "callbacks of unknown names": ("callbacks", {"os.system": {"a": 1}}),
    "another version of Lightning": ("pytorch-lightning_version", "99.0"),
    "no version of Lightning": ("pytorch-lightning_version", None),
    "a global step below zero": ("global_step", -3),
    "a seed of 10^30": ("ilvf.config.seed", 10**30),
}


def edited_checkpoints(run: Path) -> Iterator[Surrounding]:
    """Checkpoints with one entry that somebody has edited."""
    commands = {"train ilvf_p": "resume", "evaluate": "checkpoint", "load_policy": ""}
    for name, (entry, value) in EDITS.items():
        for command, key in commands.items():
            if command != "train ilvf_p" and not entry.startswith("ilvf.actor"):
                continue
            what = f"{command}: a checkpoint with {name}"
            arguments = edited(run, command, key, entry, value)
            yield Surrounding(what, arguments, refused=False, bare=True)


def edited(run: Path, command: str, key: str, entry: str, value: object) -> Arguments:
    """Write an edited checkpoint and name it."""

    def arguments(folder: Path, out: Path) -> list[str]:
        path = folder / "mine.ckpt"
        torch.save(changed(run, entry, value), path)
        if not key:
            return [command, str(path)]
        more = ["trainer.max_epochs=5"] if key == "resume" else ["algorithm.eval_episodes=2"]
        return [*command.split(), f"{key}={path}", f"out={out}", *more]

    return arguments


# ---------------------------------------------------------------------- folders
def fixed(arguments: list[str]) -> Arguments:
    """Arguments that need no files."""
    return lambda folder, out: arguments


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
    yield Surrounding("the store links to nothing", store_as(lambda p: p.symlink_to("/nowhere/x")))
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
    "a store in a missing folder": ({"MLFLOW_TRACKING_URI": "sqlite:////nowhere/a.db"}, True),
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
        "theory into a missing folder": ["theory", "picture=/nowhere/a.png"],
        "theory into no picture": ["theory", "picture=a.xyz"],
    }
    for name, arguments in lines.items():
        bare = name in ("no algorithm", "an unknown algorithm")
        yield Surrounding(f"words: {name}", fixed(arguments), bare=bare)
