"""A run keeps the absolute paths of the files of its environment."""

import pytest

from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.studies.settings import resolved

SCHEMA = training_schema("ilvf_p")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three empty files in this folder."""
    for name in ("a.net.xml", "a.rou.xml", "b.rou.xml"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_files_that_exist_become_absolute(files):
    words = ["env=sumo", "env.net_file=a.net.xml", "env.routes=[a.rou.xml, b.rou.xml]"]
    env = resolve(SCHEMA, words).env
    assert env.net_file == str(files / "a.net.xml")
    assert env.routes == [str(files / "a.rou.xml"), str(files / "b.rou.xml")]
    assert env.additional is None


def test_other_words_stay_as_they_are(files):
    config = resolve(SCHEMA, ["env=sumo", "env.net_file=c.net.xml", "out=runs"])
    assert config.env.net_file == "c.net.xml"
    assert config.out == "runs"
    assert resolve(SCHEMA, ["env=monaco"]).env.table == "published"


def test_a_study_whose_folder_has_moved_has_the_same_settings(files, monkeypatch):
    words = ["env=sumo", "env.net_file=a.net.xml", "env.routes=a.rou.xml"]
    before = resolved("ilvf_p", words)
    other = files / "other"
    other.mkdir()
    (other / "a.rou.xml").touch()
    monkeypatch.chdir(other)
    assert resolved("ilvf_p", words) == before
