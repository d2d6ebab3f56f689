"""Files from elsewhere at every entry point: nothing in them runs, no file they name is written."""

import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from drills import evil_files
from drills.evil_files import CHOICES, HARMLESS, PICKLES, Writer
from drills.evil_states import REPLAYS, strange_lines
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


# ---------------------------------------------------------------------- metrics
def metrics_files(setting: Setting, record: Record) -> None:
    """Strange lines in `metrics.jsonl`: the iterations that follow are logged all the same."""
    runs = Runs(setting)
    for name, line in setting.some(record.title, strange_lines(KIND.iterations * FRAMES)):
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
    Drill(
        "metrics files",
        metrics_files,
        limited(len(list(strange_lines(KIND.iterations * FRAMES)))),
        3.0,
    ),
]
