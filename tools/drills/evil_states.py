"""Replay buffers and metrics files that try to run code, to write a file, or to lose metrics."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from drills.evil_files import Opener, bare_pickle, changed
from drills.recorded import checkpoint

Sabotage = Callable[[Path, Path], None]  # (copy of a run, victim) → changes the copy


# ---------------------------------------------------------------------- replay buffers
def pickled_replay(run: Path, victim: Path) -> None:
    for path in (run / "buffer").iterdir():
        torch.save({"agents": Opener(victim)}, path)


def bare_replay(run: Path, victim: Path) -> None:
    for path in (run / "buffer").iterdir():
        bare_pickle(run, path, victim)


def escaping_name(run: Path, victim: Path) -> None:
    """A copied checkpoint names a file two folders up, which a copy would write beside the run."""
    content = checkpoint(run)
    files = content["ilvf"]["state"]["ranks"][0]["replay"]["files"]
    shutil.copy(run / "buffer" / files[0], run.parent / victim.name)
    files[0] = f"../../{victim.name}"
    torch.save(content, run / "copy.ckpt")


def absolute_name(run: Path, victim: Path) -> None:
    """A copied checkpoint names a file by its absolute path."""
    content = checkpoint(run)
    files = content["ilvf"]["state"]["ranks"][0]["replay"]["files"]
    files[0] = str(run / "buffer" / files[0])
    torch.save(content, run / "copy.ckpt")


def named(*names: object) -> Sabotage:
    """A checkpoint with other names of replay files."""

    def sabotage(run: Path, victim: Path) -> None:
        content = changed(run, "ilvf.state.ranks.0.replay.files", list(names))
        torch.save(content, run / "checkpoints" / "last.ckpt")

    return sabotage


def with_state(key: str, value: object) -> Sabotage:
    """A checkpoint with another entry of the replay buffer's state."""

    def sabotage(run: Path, victim: Path) -> None:
        content = changed(run, f"ilvf.state.ranks.0.replay.{key}", value)
        torch.save(content, run / "checkpoints" / "last.ckpt")

    return sabotage


REPLAYS: Mapping[str, Sabotage] = {
    "pickles as replay files": pickled_replay,
    "bare pickles as replay files": bare_replay,
    "a name outside the folder": escaping_name,
    "an absolute name": absolute_name,
    "a name that does not exist": named("/etc/passwd", "x"),
    "names that are numbers": named(5, None),
    "files=None": with_state("files", None),
    "files is a word": with_state("files", "abc"),
    "position=-7": with_state("position", -7),
    "position is a word": with_state("position", "a"),
    "written=None": with_state("written", None),
}


# ---------------------------------------------------------------------- metrics
def strange_lines(frames: int) -> Iterator[tuple[str, bytes]]:
    """(what it is, line of `metrics.jsonl`), after a row at `frames`."""
    yield "python code", b"__import__('os').system('touch ../victim')\n"
    yield "half a line", b'{"frames": 1'
    yield "zeros", bytes(4096)
    yield "frames 1e300", b'{"frames": 1e300, "a": 1}\n'
    yield "frames 10^12", b'{"frames": 1000000000000, "a": 1}\n'
    yield "frames with 400 digits", b'{"frames": ' + b"9" * 400 + b', "a": 1}\n'
    yield "frames with 5000 digits", b'{"frames": ' + b"9" * 5000 + b', "a": 1}\n'
    yield "a number with 400 digits", line_of(frames - 1, {"a": 10**400})
    yield "a fraction of a frame", line_of(frames - 0.5, {"a": 1.0})
    yield "a name that is a path", line_of(frames - 1, {"../../victim": 1.0})
    yield "a name with a line break", line_of(frames - 1, {"a\nb": 1.0})
    yield "an empty name", line_of(frames - 1, {"": 1.0})
    yield "a name of 1000 letters", line_of(frames - 1, {"a" * 1000: 1.0})
    yield "infinite values", line_of(frames - 1, {"a": float("inf"), "b": float("-inf")})
    yield "10,000 metrics", line_of(frames - 1, {f"m{k}": 1.0 for k in range(10_000)})


def line_of(frames: float, metrics: dict[str, float]) -> bytes:
    """One row of a metrics file."""
    return json.dumps({"frames": frames, **metrics}).encode() + b"\n"
