"""What the paper claims, measured exactly on small games given by tables; a few seconds.

ilvf theory                                              a table of all claims, and a picture
ilvf theory picture=theory.png
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ilvf.experiment.command_line import command_line
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option


@dataclass
class TheoryOptions(Options):
    """Where the picture goes."""

    picture: str = option("theory-variance.png", "file of the picture")


SCHEMA = Schema("theory", __doc__, TheoryOptions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the claims and draw the picture."""
    config = command_line(SCHEMA, arguments)
    from ilvf.reports.theory import write_report

    write_report(Path(config.picture))
