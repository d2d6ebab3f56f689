"""The table of the zoo's teams, written where a page has the mark `<!-- zoo -->`."""

from typing import Any

from ilvf.checkpoints.zoo import entries
from ilvf.reports.tables import table

MARK = "<!-- zoo -->"
HIDDEN = ("trainer.accelerator", "trainer.progress", "trainer.threads", "seed=")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the mark by the table."""
    return markdown.replace(MARK, zoo_table()) if MARK in markdown else markdown


def zoo_table() -> str:
    """One row a team."""
    rows = []
    for name, entry in entries().items():
        seed = entry["seed"]
        words = [w for w in entry["command"].split() if not w.startswith(HIDDEN)]
        command = " ".join(words)
        score = entry["scores"]["return/team"]
        found = f"{score['mean']:.4g} ± {score['sd']:.2g}"
        rows.append([f"`zoo:{name}`", f"`{command}`", str(seed), found])
    return table(["team", "trained by", "seed", "return of the team"], rows)
