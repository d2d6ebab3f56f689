"""Kills, faults, payloads and bad inputs for the real program; `make drills`.

python tools/drills.py                            everything, about half an hour on one core
python tools/drills.py --only kills,payloads      some groups
python tools/drills.py --soak-minutes 60 --report drills.md

Prints a table with one line a drill: cases, failed cases, lost iterations and metrics. The exit
code is 1 if anything failed. Everything is made in a temporary folder, which is removed if nothing
failed, and named otherwise.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from drills import (
    bad_inputs,
    disk_faults,
    kills,
    payloads,
    report,
    signals,
    soak,
    store_faults,
)
from drills.outcome import Drill, Record, Setting
from drills.program import start_server

GROUPS: Mapping[str, Sequence[Drill]] = {
    "kills": kills.DRILLS,
    "signals": signals.DRILLS,
    "faults": [*store_faults.DRILLS, *disk_faults.DRILLS],
    "payloads": payloads.DRILLS,
    "inputs": bad_inputs.DRILLS,
    "soak": soak.DRILLS,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the drills; the exit code."""
    options = parser().parse_args(arguments)
    drills = [drill for name in chosen(options.only) for drill in GROUPS[name]]
    sizes = {name: getattr(options, name) for name in SIZES}
    start_server()
    folder = Path(tempfile.mkdtemp(prefix="ilvf-drills-"))
    setting = Setting(folder, options.seed, sizes)
    records: list[Record] = []
    stopped = False
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for number, drill in enumerate(drills):
            later = sum(rest(following, sizes) for following in drills[number + 1 :])
            record = run(drill, setting, later)
            records.append(record)
            print(report.problems([record]), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        stopped = True
        print(f"stopped after {len(records)} of {len(drills)} drills", file=sys.stderr)
    print(report.table(records))
    command = " ".join(["tools/drills.py", *sys.argv[1:]])
    if options.report:
        report.write_markdown(options.report, records, command)
    if stopped or any(record.problems for record in records):
        print(f"\n{report.problems(records)}\n\nwhat the drills made is in {folder}")
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


SIZES = {  # option: default, meaning
    "kills": (20, "runs of ILVF-P that are killed; QMIX gets a quarter of them"),
    "files": (0, "cases of every drill of files, folders and variables; 0 for all"),
    "inputs": (300, "bad command lines that are resolved; 0 for all that are generated"),
    "real_inputs": (40, "bad command lines in processes of their own, without --cfg"),
    "soak_minutes": (10.0, "minutes of the long run"),
}


def parser() -> argparse.ArgumentParser:
    """The command line of this tool."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--only", default=",".join(GROUPS), help=f"of {', '.join(GROUPS)}")
    found.add_argument("--seed", type=int, default=0, help="of the random moments and choices")
    for name, (default, meaning) in SIZES.items():
        flag = f"--{name.replace('_', '-')}"
        found.add_argument(flag, type=type(default), default=default, help=meaning)
    found.add_argument("--report", type=Path, help="file for a summary in Markdown")
    return found


def chosen(text: str) -> list[str]:
    """The groups of `--only`."""
    names = text.split(",")
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        raise SystemExit(f"unknown drills {', '.join(unknown)}; choose from {', '.join(GROUPS)}")
    return names


def rest(drill: Drill, sizes: Mapping[str, float]) -> float:
    """Seconds that a drill takes, as far as is known before."""
    return drill.cases(sizes) * drill.seconds


def run(drill: Drill, setting: Setting, later: float) -> Record:
    """Run one drill; an error of the drill itself is a failure too."""
    cases = drill.cases(setting.sizes)

    def progress(record: Record) -> None:
        left = (cases - record.tried + 1) * drill.seconds
        if record.tried > 3:
            left = record.seconds / (record.tried - 1) * (cases - record.tried + 1)
        minutes = (max(left, 0) + later) / 60
        print(
            f"{record.title} {record.tried}/{cases}, {record.failed} failed, "
            f"{minutes:.0f} min left: {record.case[:90]}",
            file=sys.stderr,
            flush=True,
        )

    record = Record(drill.title, progress)
    try:
        drill.run(setting, record)
    except Exception:  # the other drills go on
        record.require(False, f"the drill itself failed: {traceback.format_exc()[-1500:]}")
    record.finished_after = record.seconds
    return record


if __name__ == "__main__":
    sys.exit(main())
