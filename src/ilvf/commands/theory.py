"""What the paper claims, measured exactly on small games given by tables; a few seconds.

ilvf theory                                              a table of all claims, and a picture
ilvf theory picture=theory.png
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ilvf.commands.picture import require_picture, writing
from ilvf.experiment.command_line import command_line
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option


@dataclass
class TheoryOptions(Options):
    """Where the picture goes."""

    picture: str = option("theory-variance.png", "file of the picture", path=True)


SCHEMA = Schema("theory", __doc__, TheoryOptions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the claims and draw the picture."""
    config = command_line(SCHEMA, arguments)
    picture = Path(config.picture)
    require_picture("picture", picture)
    from ilvf.reports.theory import write_report

    with writing(picture):
        picture.parent.mkdir(parents=True, exist_ok=True)
        write_report(picture)
