"""The table of the drills, on the terminal and in Markdown."""

import platform
import time
from collections.abc import Sequence
from pathlib import Path

from drills.outcome import Record

HEAD = ("drill", "cases", "failed", "lost", "seconds")
SHOWN = 20  # problems of a drill that the terminal lists


def table(records: Sequence[Record]) -> str:
    """One line a drill, and the number of lost iterations and metrics."""
    lines = [f"{HEAD[0]:<46}" + "".join(f"{word:>9}" for word in HEAD[1:])]
    for record in records:
        numbers = cells(record)
        lines.append(f"{record.title:<46}" + "".join(f"{number:>9}" for number in numbers))
    lines += ["", f"lost = {sum(record.lost for record in records)}"]
    return "\n".join(lines)


def cells(record: Record) -> list[str]:
    """Cases, failures, losses and seconds of a drill."""
    return [
        str(record.tried),
        str(record.failed),
        str(record.lost),
        f"{record.finished_after:.0f}",
    ]


def problems(records: Sequence[Record], most: int = SHOWN) -> str:
    """What failed, and how to reproduce it."""
    lines = []
    for record in records:
        for problem in record.problems[:most]:
            lines.append(f"- {record.title}: {' '.join(problem.split())}")
        more = len(record.problems) - most
        if more > 0:
            lines.append(f"- {record.title}: and {more} more")
    return "\n".join(lines)


def notes(records: Sequence[Record]) -> str:
    """Facts that are no failures."""
    return "\n".join(f"- {record.title}: {note}" for record in records for note in record.notes)


def write_markdown(path: Path, records: Sequence[Record], command: str) -> None:
    """Write the table, the problems and the notes."""
    lines = [
        f"# Drills of {time.strftime('%Y-%m-%d %H:%M')}",
        "",
        f"`{command}` on {platform.platform()}, Python {platform.python_version()}",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---|---:|---:|---:|---:|",
    ]
    for record in records:
        lines.append(f"| {record.title} | {' | '.join(cells(record))} |")
    lines += ["", f"lost = {sum(record.lost for record in records)}"]
    sections = {"Failures": problems(records, 10_000), "Notes": notes(records)}
    for title, text in sections.items():
        if text:
            lines += ["", f"## {title}", "", text]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
