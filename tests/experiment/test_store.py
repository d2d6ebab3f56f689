"""The MLflow store: places that cannot hold one are refused at once."""

import contextlib
import sqlite3

import pytest
from mlflow.tracking import MlflowClient
from sqlalchemy import create_engine, text

from ilvf.errors import UsageError
from ilvf.experiment.config import resolve
from ilvf.experiment.membership import PARENT
from ilvf.experiment.options import training_schema
from ilvf.experiment.seed_summary import NUMBER_OF_SEEDS, summarise_parent
from ilvf.experiment.store import open_store, tracking_uri
from run_helpers import folder_with_store


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


@pytest.mark.parametrize(("name", "found"), [("a?b", "?"), ("a%41b", "%41")])
def test_a_folder_that_no_address_can_name_is_refused(name, found, tmp_path, recipe, capsys):
    """Before anything is written, there or beside it."""
    for more in ((), ("seeds=0-1",)):
        assert recipe("ilvf_p", f"out={tmp_path / name}", *more) == 2
        assert f"cannot have {found} in its path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["file:{}/x", "sqlite:///{}/damaged.db"])
def test_a_store_that_cannot_be_compared_is_one_sentence(
    address, tmp_path, recipe, capsys, monkeypatch
):
    (tmp_path / "damaged.db").write_text("hello, this is no database" * 100)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(tmp_path))
    assert recipe("compare", f"out={tmp_path}") == 2
    assert capsys.readouterr().err.startswith("error: the MLflow store ")


def test_a_parent_whose_seeds_have_all_finished_has_finished(tmp_path, store):
    """Also if it was interrupted while the last of them ended."""
    client = MlflowClient(tracking_uri(folder_with_store(tmp_path / "runs", store)))
    parent = client.create_run("0", tags={NUMBER_OF_SEEDS: "1"}).info.run_id
    child = client.create_run("0", tags={PARENT: parent, "seed": "0"}).info.run_id
    client.log_metric(child, "frames", 80.0)
    client.set_terminated(child)
    for _ in range(2):
        client.set_terminated(parent, "KILLED")
        summarise_parent(client, child)
        assert client.get_run(parent).info.status == "FINISHED"
    assert len(client.get_metric_history(parent, "frames")) == 1


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
