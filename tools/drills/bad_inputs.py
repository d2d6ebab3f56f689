"""Bad command lines: each is refused in one sentence, or resolves to what was typed."""

import contextlib
import math
import random
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

from drills.bad_files import Surrounding
from drills.bad_surroundings import surroundings
from drills.bad_values import BadInput, bad_inputs
from drills.outcome import Drill, Record, Setting
from drills.program import Program
from drills.recorded import last_line, require_no_traceback
from drills.runs import ON_POLICY, SIZES, Kind, Runs
from ilvf.commands.cli import main, module_of
from ilvf.experiment.options import training_schema

KIND = Kind("ilvf_p", iterations=3, eval_every=3)
PATIENCE = 20  # [s] to resolve a command line
RUNNING = 30.0  # [s] after which a real command counts as one that works
SMALL = {  # arguments that make the other commands fast
    "evaluate": ["algorithm.eval_episodes=2"],
    "audit": ["audit.states=2", "audit.actions=2", "audit.repeats=2"],
    "influence": ["influence.episodes=2", "influence.repeats=2"],
}


class Hanging(Exception):
    """A command line was not resolved in time."""


# ---------------------------------------------------------------------- resolved in this process
def resolved(setting: Setting, record: Record) -> None:
    """Bad command lines with --cfg, in this process."""
    rng = setting.rng(record.title)
    found = bad_inputs(rng)
    record.notes.append(f"{len(found)} command lines can be generated")
    number = int(setting.sizes["inputs"])
    chosen = rng.sample(found, min(number, len(found))) if number else found
    runner = CliRunner()
    quiet = record.progress
    for position, bad in enumerate(chosen):
        record.progress = quiet if position % 100 == 0 else lambda _: None
        record.begin(bad.text)
        try:
            with time_limit(PATIENCE):
                result = runner.invoke(main, [*bad.command, *bad.arguments, "--cfg"])
        except Hanging:
            record.require(False, f"not resolved after {PATIENCE} s")
            continue
        unexpected = result.exception
        if unexpected is not None and not isinstance(unexpected, SystemExit):
            record.require(False, f"{type(unexpected).__name__}: {str(unexpected)[:200]}")
            continue
        require_answer(record, bad, result.exit_code, result.stdout, result.stderr)
    record.progress = quiet


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise `Hanging` in this process after some seconds."""

    def stop(number: int, frame: Any) -> None:
        raise Hanging

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def require_answer(record: Record, bad: BadInput, code: int, out: str, err: str) -> None:
    """A refusal is one sentence; a config that was resolved has the value that was typed."""
    record.require(code in (0, 2), f"exit code {code}")
    record.require(code == 2 or not bad.refused, f"not refused: {out[:100]!r}")
    lines = [line for line in err.splitlines() if not line.startswith("note: ")]
    if code == 0:
        record.require(not lines, f"printed to standard error: {lines[:2]}")
        if bad.what == "given twice":
            record.require("is given twice" in err, "no note that the key is given twice")
        require_as_typed(record, bad, out)
        return
    record.require(len(lines) == 1, f"{len(lines)} lines: {lines[:3]}")
    record.require(bool(lines) and lines[0].startswith("error: "), f"no sentence: {lines[:1]}")
    for word in bad.words:
        record.require(word in err, f"{word!r} is not in {err.strip()[:200]!r}")


def require_as_typed(record: Record, bad: BadInput, out: str) -> None:
    """The resolved config has the value that was typed."""
    key, _, text = bad.arguments[-1].partition("=")
    value: Any = yaml.safe_load(out)
    for name in key.split("."):
        value = value[name]
    if isinstance(value, bool) or value is None:
        found = text.lower() in ({True: "true", False: "false"}.get(value, ""), "null", "none", "")
        record.require(found, f"{key}={text!r} became {value}")
    elif isinstance(value, int | float):
        typed = int(text, 0) if text.startswith("0x") else float(text)
        record.require(math.isclose(value, typed), f"{key}={text!r} became {value}")
    elif isinstance(value, str):
        number = as_number(value)
        equal = value == text or (number is not None and number == as_number(text))
        record.require(equal, f"{key}={text[:60]!r} became {value[:60]!r}")


def as_number(text: str) -> float | None:
    """The number that a text is, if it is one; yaml reads 1e-05 as a word."""
    try:
        return float(text)
    except ValueError:
        return None


# ---------------------------------------------------------------------- real processes
def real(setting: Setting, record: Record) -> None:
    """A sample of the command lines in new interpreters, without --cfg."""
    runs = Runs(setting)
    rng = setting.rng(record.title)
    number = int(setting.sizes["real_inputs"])
    if number == 0:
        return
    run = runs.folder(KIND)
    for bad in sample(bad_inputs(rng), number, rng):
        record.begin(bad.text)
        out = runs.new("real")
        program = Program(arguments_of(bad, run, out), out.parent / "log", fresh=True)
        require_end(record, program, bad.refused)


def sample(found: list[BadInput], number: int, rng: random.Random) -> list[BadInput]:
    """Half of the sample are command lines that nothing refuses before the command begins."""
    chosen = []
    for refused, count in ((True, number // 2), (False, number - number // 2)):
        chosen += rng.sample([bad for bad in found if bad.refused == refused], count)
    return chosen


def arguments_of(bad: BadInput, run: Path, out: Path) -> list[str]:
    """A command line whose command takes seconds, if the mistake is not refused."""
    name = bad.command[0]
    keys = {argument.partition("=")[0] for argument in bad.arguments}
    if name == "train":
        base = [*small_training(bad), f"out={out}"]
    elif "checkpoint" in module_of(name).SCHEMA.leaves(None):
        base = [f"checkpoint={run}", *SMALL.get(name, []), f"out={out}"]
    else:
        kept = {"compare": [f"out={run.parent}"], "theory": [], "study": ["dry=true"]}
        base = kept.get(name, [f"out={out}"])
    base = [argument for argument in base if argument.partition("=")[0] not in keys]
    return [*bad.command, *base, *bad.arguments]


def small_training(bad: BadInput) -> list[str]:
    """The small sizes that an algorithm and an environment have keys for."""
    env = next((a[4:] for a in bad.arguments if a.startswith("env=")), "encircle")
    leaves = training_schema(bad.command[1]).leaves(env)
    sizes = [*SIZES["qmix"], *ON_POLICY, "trainer.max_epochs=1"]
    known = [argument for argument in sizes if argument.partition("=")[0] in leaves]
    unfit = ("env.n_agents", "env.horizon") if env != "encircle" else ()
    return [argument for argument in known if not argument.startswith(unfit or "?")]


def require_end(record: Record, program: Program, refused: bool) -> None:
    """The program ends with 0 or 2 and without a traceback, or still works after a while."""
    code = program.wait(RUNNING)
    output = program.output
    line = last_line(output)
    if not require_no_traceback(record, output):
        pass
    elif code is None:
        record.notes.append(f"{record.case}: still runs after {RUNNING:.0f} s")
        record.require(not refused, f"not refused, still runs after {RUNNING:.0f} s")
    elif code == 2:
        record.require(line.startswith("error: "), f"no sentence, but {line!r}")
    else:
        record.require(code == 0, f"exit code {code}: {line!r}")
        record.require(not refused, f"not refused: {line!r}")
    if record.failing:
        record.problems.append(f"{record.case}: reproduce by {program.command}")


def bad_surroundings(setting: Setting, record: Record) -> None:
    """Bad files, folders, environment variables and words."""
    runs = Runs(setting)
    run = runs.folder(KIND)
    for surrounding in setting.some(record.title, surroundings(run)):
        record.begin(surrounding.what)
        out = runs.new(f"surrounding-{record.tried}")
        folder = out.parent / "files"
        folder.mkdir()
        program = start(surrounding, run, out, folder)
        require_end(record, program, surrounding.refused)


def start(surrounding: Surrounding, run: Path, out: Path, folder: Path) -> Program:
    """The command of a case."""
    arguments = surrounding.arguments(folder, out)
    if arguments[0] == "train" and len(arguments) > 1 and not surrounding.bare:
        name = arguments[1]
        sizes = [*SIZES.get(name, SIZES["ilvf_p"]), "trainer.max_epochs=1", f"out={out}"]
        keys = {argument.partition("=")[0] for argument in arguments}
        resumed = bool(keys & {"resume"})
        kept = [] if resumed else sizes
        kept = [argument for argument in kept if argument.partition("=")[0] not in keys]
        arguments = [*arguments[:2], *kept, *arguments[2:]]
    return Program(arguments, out.parent / "log", surrounding.environment)


def resolved_cases(sizes: Mapping[str, float]) -> int:
    """Command lines that are resolved."""
    return int(sizes["inputs"]) or len(bad_inputs(random.Random(0)))


def surrounding_cases(sizes: Mapping[str, float]) -> int:
    """Cases of files, folders and variables."""
    return int(sizes["files"]) or len(list(surroundings(Path())))


DRILLS = [
    Drill("bad command lines, resolved", resolved, resolved_cases, 0.03),
    Drill("bad command lines, run", real, lambda sizes: int(sizes["real_inputs"]), 8.0),
    Drill("bad files, folders, variables", bad_surroundings, surrounding_cases, 2.0),
]
