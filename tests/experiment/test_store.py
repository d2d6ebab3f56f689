"""The MLflow store: places that cannot hold one are refused at once."""

import contextlib
import sqlite3

import pytest
from sqlalchemy import create_engine, text

from ilvf.errors import UsageError
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.store import open_store, tracking_uri


def folder(path):
    path.mkdir()


def link_to_nothing(path):
    path.symlink_to(path.parent / "missing" / "mlflow.db")


@pytest.mark.parametrize(
    ("make", "words"), [(folder, "is a folder"), (link_to_nothing, "there is no folder")]
)
def test_a_place_that_cannot_hold_a_store_is_refused(make, words, tmp_path, monkeypatch):
    """MLflow would try again for minutes."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    make(tmp_path / "mlflow.db")
    with pytest.raises(UsageError, match=words):
        open_store(tracking_uri(tmp_path), tmp_path, "encircle")


@pytest.mark.parametrize("content", ["[1, 2]", "3", "word"])
def test_a_section_of_a_preset_is_a_mapping(content, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(f"algorithm: {content}\n")
    with pytest.raises(UsageError, match=r"algorithm in preset .* is not a mapping"):
        resolve(training_schema("ilvf_p"), [f"preset={path}"])


def test_a_new_store_has_the_tables_that_mlflow_makes(tmp_path, store):
    """It is written without waiting for the disk, and later connections wait again."""
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    open_store(uri, tmp_path, "encircle")
    assert tables(tmp_path / "mlflow.db") == tables(store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db", "mlflow.lock"]
    with create_engine(uri).connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL


def tables(path):
    """(table, its columns) of a sqlite file, and the names of its indices."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        objects = database.execute("SELECT type, name FROM sqlite_master").fetchall()
        columns = {}
        for kind, name in objects:
            found = database.execute(f"PRAGMA table_info('{name}')").fetchall()
            columns[kind, name] = sorted(map(str, found))
    return columns
