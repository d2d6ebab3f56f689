"""A local MLflow store whose folder was moved or copied: its absolute paths are corrected."""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

PATHS = (  # tables and columns of a local store that hold absolute paths
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
)


def forget_places() -> None:
    """Let MLflow ask the store where a run's files are.

    A process keeps the answer by the run's id, which a copy of the store has too.
    """
    from mlflow.tracking._tracking_service import utils

    getattr(utils, "_artifact_repos_cache", {}).clear()


def follow_move(here: Path) -> None:
    """Correct the paths in the store of a folder of runs that was moved, or is a copy.

    A store keeps absolute paths of its files. A store that belongs to several folders is left as it
    is, and so is one that was copied without the files of its runs.

    Args:
        here: the folder, an absolute path.
    """
    with contextlib.closing(sqlite3.connect(here / "mlflow.db")) as database, database:
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
        homes = [home_of(str(place)) for (place,) in found]
        for old in [home for home in homes if home not in (None, here)]:
            if not belongs_here(database, old, here):
                continue
            for table, column in PATHS:
                database.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?)",
                    (f"{old.as_uri()}/", f"{here.as_uri()}/"),
                )
            print(f"{history_of(old, here)}; its paths are corrected")


def belongs_here(database: sqlite3.Connection, old: Path, here: Path) -> bool:
    """Are the files of runs here that a store expects in the folder `old`?"""
    is_copy = (old / "mlflow.db").exists()
    if not is_copy and not (old / "artifacts").exists():
        return True
    inside = (f"{old.as_uri()}/%",)
    found = database.execute("SELECT run_uuid FROM runs WHERE artifact_uri LIKE ?", inside)
    runs = [str(run) for (run,) in found]
    return any((here / "artifacts" / run).exists() for run in runs) or (is_copy and not runs)


def history_of(old: Path, here: Path) -> str:
    """How the store of a folder came there, and what is left."""
    if (old / "mlflow.db").exists():
        return f"the store in {here} is a copy of that in {old}, which stays as it is"
    left = old / "artifacts"
    more = f" (files that are still in {left} belong here)" if left.exists() else ""
    return f"the store was moved from {old} to {here}{more}"


def home_of(place: str) -> Path | None:
    """The folder OUT of a place OUT/artifacts that this library has given an experiment."""
    path = Path(url2pathname(urlparse(place).path))
    return path.parent if place.startswith("file:") and path.name == "artifacts" else None
