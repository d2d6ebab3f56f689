"""Files from elsewhere at every entry point: nothing in them runs, no file they name is written."""

import itertools
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch

from drills import evil_files
from drills.evil_files import CHOICES, HARMLESS, PICKLES, Opener, Writer, changed
from drills.outcome import Drill, Record, Setting
from drills.program import Program
from drills.recorded import (
    checkpoint,
    last_line,
    require_no_traceback,
    require_sentence,
    rows_of,
    stored,
)
from drills.runs import FRAMES, Kind, Runs

KIND = Kind("ilvf_p", iterations=3, eval_every=3)
REPLAY = Kind("qmix", iterations=6, eval_every=6)
READERS: Mapping[str, Callable[[Path, Path], list[str]]] = {  # (checkpoint, out) → arguments
    "train resume=": lambda path, out: ["train", "ilvf_p", f"resume={path}", f"out={out}"],
    "evaluate": lambda path, out: ["evaluate", f"checkpoint={path}", f"out={out}"],
    "audit": lambda path, out: ["audit", f"checkpoint={path}", f"out={out}"],
    "influence": lambda path, out: ["influence", f"checkpoint={path}", f"out={out}"],
    "traffic": lambda path, out: ["traffic", f"checkpoint={path}", f"out={out}"],
    "load_policy": lambda path, out: ["load_policy", str(path)],
}
YAML_READERS = (  # (command, key)
    ("train ilvf_p", "preset"),
    ("train qmix", "preset"),
    ("train ilvf_p", "env"),
    ("train qmix", "env"),
    ("evaluate policy=random", "env"),
    ("audit", "env"),
    ("influence", "env"),
)
SHORTER = {  # arguments that make a command that works faster
    "train resume=": [f"trainer.max_epochs={KIND.iterations + 1}"],
    "evaluate": ["algorithm.eval_episodes=2"],
    "audit": ["audit.states=2", "audit.actions=2", "audit.repeats=2"],
    "influence": ["influence.episodes=2", "influence.repeats=2"],
}


# ---------------------------------------------------------------------- checkpoints
def checkpoints(files: Mapping[str, Writer], refused: bool) -> Callable[[Setting, Record], None]:
    """The drill of some checkpoints with all readers.

    Args:
        refused: all commands must end in one sentence; otherwise they may work.
    """

    def run(setting: Setting, record: Record) -> None:
        runs = Runs(setting)
        good = runs.folder(KIND)
        for name, reader in setting.some(record.title, itertools.product(files, READERS)):
            record.begin(f"{name}, {reader}")
            out = runs.new(f"payload-{record.tried}-{record.title[:8]}")
            victim = out.parent / "victim"
            path = out.parent / "evil.ckpt"
            files[name](good, path, victim)
            arguments = [*READERS[reader](path, out), *SHORTER.get(reader, [])]
            program = Program(arguments, out.parent / "log")
            unread = files is CHOICES and reader in ("load_policy", "traffic")  # no config
            require_harmless(record, program, victim, may_work=not refused or unread)

    return run


def require_harmless(record: Record, program: Program, victim: Path, may_work: bool) -> None:
    """The program ends, has not made the victim, and says one sentence if it refuses."""
    code = program.wait()
    record.require(not victim.exists(), "the victim's file was made")
    if may_work and code == 0:
        require_no_traceback(record, program.output)
    else:
        require_sentence(record, program.output)
        record.require(code == 2, f"exit code {code}: {last_line(program.output)}")
    if record.failing:
        record.problems.append(f"{record.case}: reproduce by {program.command}")


# ---------------------------------------------------------------------- other files
def yaml_files(setting: Setting, record: Record) -> None:
    """Tags and interpolations in yaml files, as preset, environment and argument."""
    runs = Runs(setting)
    cases = itertools.product(range(len(list(evil_files.tags(Path())))), YAML_READERS)
    for number, (command, kind) in setting.some(record.title, cases):
        record.begin(f"yaml {number} as {kind} of {command}")
        out = runs.new(f"yaml-{record.tried}")
        victim = out.parent / "victim"
        path = out.parent / "evil.yaml"
        path.write_text(list(evil_files.tags(victim))[number])
        arguments = [*command.split(), f"{kind}={path}", f"out={out}"]
        program = Program(arguments, out.parent / "log")
        require_harmless(record, program, victim, may_work=False)


def replay_files(setting: Setting, record: Record) -> None:
    """Replay files with pickles, and checkpoints that name files elsewhere."""
    runs = Runs(setting)
    for name, sabotage in setting.some(record.title, REPLAYS.items()):
        record.begin(name)
        out = runs.new(f"replay-{record.tried}")
        run = out.parent / "from-elsewhere" / "run"
        shutil.copytree(runs.folder(REPLAY), run)
        victim = out / "victim.pt"
        sabotage(run, victim)
        path = next(iter(run.glob("*.ckpt")), run)  # a copy of a checkpoint begins a new run
        more = [f"resume={path}", f"trainer.max_epochs={REPLAY.iterations + 1}"]
        program = Program(["train", "qmix", *more, f"out={out}"], out.parent / "log")
        require_harmless(record, program, victim, may_work=False)


def pickled_replay(run: Path, victim: Path) -> None:
    for path in (run / "buffer").iterdir():
        torch.save({"agents": Opener(victim)}, path)


def bare_replay(run: Path, victim: Path) -> None:
    for path in (run / "buffer").iterdir():
        evil_files.bare_pickle(run, path, victim)


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


def named(*names: object) -> Callable[[Path, Path], None]:
    """A checkpoint with other names of replay files."""

    def sabotage(run: Path, victim: Path) -> None:
        content = changed(run, "ilvf.state.ranks.0.replay.files", list(names))
        torch.save(content, run / "checkpoints" / "last.ckpt")

    return sabotage


def with_state(key: str, value: object) -> Callable[[Path, Path], None]:
    """A checkpoint with another entry of the replay buffer's state."""

    def sabotage(run: Path, victim: Path) -> None:
        content = changed(run, f"ilvf.state.ranks.0.replay.{key}", value)
        torch.save(content, run / "checkpoints" / "last.ckpt")

    return sabotage


REPLAYS: Mapping[str, Callable[[Path, Path], None]] = {
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
    "pieces=0": with_state("pieces", 0),
    "written=None": with_state("written", None),
}


# ---------------------------------------------------------------------- metrics
def metrics_files(setting: Setting, record: Record) -> None:
    """Strange lines in `metrics.jsonl`: the iterations that follow are logged all the same."""
    runs = Runs(setting)
    for name, line in setting.some(record.title, strange_lines()):
        record.begin(name)
        out = runs.new(f"metrics-{record.tried}")
        run = out / "run"
        shutil.copytree(runs.folder(KIND), run)
        path = run / "metrics.jsonl"
        path.write_bytes(path.read_bytes() + line)
        more = [f"resume={run}", f"trainer.max_epochs={KIND.iterations + 2}"]
        program = Program(["train", "ilvf_p", *more, f"out={out}"], out.parent / "log")
        victim = out.parent / "victim"
        require_harmless(record, program, victim, may_work=True)
        if program.code == 0:
            require_new_iterations(record, run)


def strange_lines() -> Iterator[tuple[str, bytes]]:
    """(what it is, line)."""
    frames = KIND.iterations * FRAMES
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


def require_new_iterations(record: Record, run: Path) -> None:
    """The two iterations after the strange line are in the file and in the store."""
    new = {(KIND.iterations + k) * FRAMES for k in (1, 2)}
    found = {row["frames"] for row in rows_of(run)}
    record.lose(len(new - found), f"metrics.jsonl has no rows {sorted(new - found)}")
    history = stored(run.parent / "mlflow.db", checkpoint(run)["ilvf"]["run"])
    absent = {frames for frames in new if ("loss/value", frames) not in history}
    record.lose(len(absent), f"MLflow has no iterations {sorted(absent)}")


def count(files: Mapping[str, Writer]) -> Callable[[Mapping[str, float]], int]:
    """Cases of a drill of checkpoints."""
    return limited(len(files) * len(READERS))


def limited(number: int) -> Callable[[Mapping[str, float]], int]:
    """Cases of a drill that has `number`, as far as the size `files` allows."""
    return lambda sizes: min(int(sizes["files"]) or number, number)


DRILLS = [
    Drill("pickles in checkpoints", checkpoints(PICKLES, True), count(PICKLES), 1.0),
    Drill("code and files chosen by checkpoints", checkpoints(CHOICES, True), count(CHOICES), 1.0),
    Drill("harmless entries of checkpoints", checkpoints(HARMLESS, False), count(HARMLESS), 2.0),
    Drill("yaml files", yaml_files, limited(35), 0.5),
    Drill("replay files", replay_files, limited(len(REPLAYS)), 2.0),
    Drill("metrics files", metrics_files, limited(len(list(strange_lines()))), 3.0),
]
