"""SUMO's programs, and files that are generated once."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.simulator import sumo_tools
from ilvf.envs.traffic.simulator.sumo_tools import generated


# ---------------------------------------------------------------------- generated files
def build_pair(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_text("x")


def test_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "here"))
    assert sumo_tools.cache_folder() == tmp_path / "here"
    monkeypatch.delenv("ILVF_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sumo_tools.cache_folder() == tmp_path / ".cache" / "ilvf"


def test_deleted_file_is_made_again(tmp_path):
    a, b = generated(tmp_path, "pair", "content", ("a", "b"), build_pair)
    a.unlink()
    assert generated(tmp_path, "pair", "content", ("a", "b"), build_pair) == (a, b)
    assert a.read_text() == b.read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == [a.parent.name]  # no temporary files


def test_several_threads_may_ask_at_the_same_time(tmp_path):
    all_have_found_nothing = threading.Barrier(4)

    def build(folder):
        all_have_found_nothing.wait()
        (folder / "a").write_text("x" * 1000)

    def ask(_):
        (path,) = generated(tmp_path, "one", "content", ("a",), build)
        return path.read_text()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {"x" * 1000}
    assert len(list(tmp_path.iterdir())) == 1


def test_interrupted_build_leaves_nothing(tmp_path):
    def build(folder):
        (folder / "a").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generated(tmp_path, "one", "content", ("a",), build)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------- programs
def test_error_of_a_program(tmp_path, refused):
    nodes = tmp_path / "nowhere.xml"
    with refused("netconvert", "Error", "nowhere.xml"):
        sumo_tools.run_program("netconvert", "--node-files", nodes, "--output-file", tmp_path / "x")


def test_missing_program(tmp_path, monkeypatch, refused):
    monkeypatch.setattr(sumo_tools, "pip_home", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SUMO_HOME", raising=False)
    with refused("netconvert", "pip install 'ilvf[sumo]'"):
        sumo_tools.run_program("netconvert")


def test_missing_sumolib(monkeypatch, refused, tiny_net):
    monkeypatch.setitem(sys.modules, "sumolib", None)  # importing it fails
    with refused("sumolib", "pip install 'ilvf[sumo]'"):
        read_network(tiny_net)
