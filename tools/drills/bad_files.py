"""Yaml files and checkpoints that are damaged, strange or edited."""

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


def fixed(arguments: list[str]) -> Arguments:
    """Arguments that need no files."""
    return lambda folder, out: arguments


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
