"""Rewrites the tables of docs/results/comparison.md from the report of the study `beyond`.

    cp -r benchmarks/results/studies/beyond-cpu runs/studies/
    ilvf study beyond scale=cpu report=true
    python tools/results_tables.py runs/studies/beyond-cpu/report.md

The page keeps its titles and its text. Rows are sorted by the whole curve, the best first.
"""

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "results" / "comparison.md"
SECTIONS = {  # beginning of a table on the page → section of the report
    "Encircle, 10 agents": "Encircle, 10 agents",
    "Encircle, 20 agents": "Encircle, 20 agents",
    "Encircle, 50 agents": "Encircle, 50 agents",
    "Predators": "Predator Capture Prey",
    "VMAS `navigation`": "VMAS navigation",
    "5 × 5 grid": "Traffic, 5 × 5 grid",
    "Monaco": "Traffic, Monaco",
    "Game of gifts": "Game of gifts",
    "Game of matching": "Game of matching",
    "Slow-down": "CACC slow-down",
    "Catch-up": "CACC catch-up",
    "MPE `simple_spread`": "MPE spread",
    "Level-Based Foraging": "Level-Based Foraging",
    "VMAS `balance`": "VMAS balance",
    "algorithm": "All tasks",
}
COLUMNS = (  # of the report that the page shows, where they are
    "algorithm",
    "seeds",
    "whole curve",
    "last tenth",
    "gain / the better of MAPPO and IPPO-C",
    "gain / the oracle",
    "IQM of the score",
    "optimality gap",
    "P(better than MAPPO)",
)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables_of(report: str) -> dict[str, list[list[str]]]:
    """Section → the rows of its first table, the names of the columns first."""
    found = {}
    for part in re.split(r"^#+ ", report, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        rows = [line for line in text.split("\n\n- ")[0].splitlines() if line.startswith("|")]
        found[title.strip()] = [cells(line) for line in rows if not line.startswith("| ---")]
    return found


def number(text: str) -> float:
    return float(text.replace("−", "-").split()[0])


def shown(text: str, thousands: bool) -> str:
    """A cell as the page shows it: real minus signs, 1 for what it is compared with."""
    if text == "1.00 [1.00, 1.00]":
        return "1"
    if thousands:
        text = re.sub(r"-?\d+\.\d{3}", lambda m: f"{float(m[0]) / 1000:.1f}", text)
    return re.sub(r"-(?=\d)", "−", text)


def rewritten(header: str, rows: list[list[str]]) -> list[str]:
    """The table's lines below a header of the page."""
    names, *rows = rows
    kept = [names.index(name) for name in COLUMNS if name in names]
    measure = names.index("whole curve" if "whole curve" in names else "IQM of the score")
    falls = "cost" in header  # less is better
    rows = sorted(rows, key=lambda row: number(row[measure]), reverse=not falls)
    if "IQM of the score" in names:  # with one common seed there is no interval
        rows = [row for row in rows if "[" in row[measure]]
    thousands = "in thousands" in header
    lines = ["|" + "---|" * len(kept)]
    return lines + [
        "| " + " | ".join(shown(row[k], thousands) for k in kept) + " |" for row in rows
    ]


def main() -> None:
    tables = tables_of(Path(sys.argv[1]).read_text())
    before, mark, after = PAGE.read_text().partition("\n* **ILVF-P leads")
    lines: list[str] = []
    inside = False
    for line in before.splitlines():
        if not line.startswith("|"):
            inside = False
        if inside:
            continue
        lines.append(line)
        if line.startswith("|"):
            inside = True
            title = next(t for t in SECTIONS if line.startswith(f"| {t}"))
            lines += rewritten(line, tables[SECTIONS[title]])
    PAGE.write_text("\n".join(lines) + "\n" + mark + after)


if __name__ == "__main__":
    main()
