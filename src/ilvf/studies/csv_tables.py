"""The csv files of a study: how they are read, checked and replaced."""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ilvf.errors import UsageError, require

RUN = ["task", "algorithm", "seed"]  # the columns that identify a run


def read_table(path: Path, columns: Sequence[str], numbers: Sequence[str]) -> pd.DataFrame:
    """A table, or an empty one if there is no file.

    Args:
        columns: all columns.
        numbers: those with numbers; an empty cell is NaN. The others have words.

    Raises:
        UsageError: the file is not such a table.
    """
    if not path.exists():
        return pd.DataFrame(columns=columns)
    words = {name: str for name in columns if name not in numbers}
    empty = {name: [""] for name in numbers}
    try:
        table = pd.read_csv(path, dtype=words, keep_default_na=False, na_values=empty)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"{path} cannot be read ({reason}); restore it or delete it") from error
    require(
        list(table.columns) == list(columns),
        f"{path} has the columns {', '.join(map(str, table.columns))} instead of "
        f"{', '.join(columns)}; restore it or delete it",
    )
    for column in numbers:
        require(
            pd.api.types.is_numeric_dtype(table[column]) or table.empty,
            f"{path} has words in the column {column}; restore it or delete it",
        )
    return table


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Replace the file; it is complete at any moment, also after a power cut."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        table.to_csv(file, index=False, float_format="%.8g")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
