"""The seeds that `seeds=0-4` means."""

import re

from ilvf.errors import require
from ilvf.options import one_line

MOST_SEEDS = 1000
RANGE = re.compile(r"(?P<first>\d{1,10})(-(?P<last>\d{1,10}))?")


def parse_seeds(text: str | int) -> list[int]:
    """`0-4` or `0,3,7` → the seeds, in this order and without repetition.

    Raises:
        UsageError: the text is no list of seeds, a range is empty, or there are too many.
    """
    seeds: list[int] = []
    given = f"seeds={one_line(str(text))}"
    for part in str(text).split(","):
        match = RANGE.fullmatch(part.strip())
        require(match is not None, f"{given} is no list of seeds; write 0-4 or 0,3,7")
        assert match is not None
        first = int(match["first"])
        last = int(match["last"] or first)
        require(first <= last, f"{given}: the range {part} is empty; write {last}-{first}")
        require(
            last < 2**32 and len(seeds) + last - first < MOST_SEEDS,
            f"{given} is too much: seeds are below 2^32, and at most {MOST_SEEDS} runs start",
        )
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))
