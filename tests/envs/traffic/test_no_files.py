"""Things in place of files: folders, devices, links, locked files, tables and pictures."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import traffic_nets
from helpers import ROOT
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.envs.traffic.network.__main__ import main
from ilvf.envs.traffic.network.table import read_table
from ilvf.errors import UsageError

GOOD = f"<routes>{traffic_nets.FLOW.format(0, 'a_J1', 'J3_b', 99, 'period=3')}</routes>"
BOM = b"\xef\xbb\xbf"


def in_place_of(kind, folder):
    """A path that is no file to read, and words of the error."""
    path = folder / "thing.xml"
    if kind == "folder":
        path.mkdir()
        return path, "is a folder"
    if kind == "pipe":
        os.mkfifo(path)
        return path, "no plain file"
    if kind == "loop":
        path.symlink_to(path)
        return path, "thing.xml"
    if kind == "dangling link":
        path.symlink_to(folder / "gone.xml")
        return path, ".xml"
    if kind == "below a file":
        path.write_text(GOOD)
        return path / "below.xml", "below.xml"
    others = {"missing": path, "device": Path("/dev/null"), "long": folder / ("x" * 300)}
    words = {"missing": "no ", "device": "no plain file", "long": "name too long"}
    return others[kind], words[kind]


KINDS = ("folder", "pipe", "loop", "missing", "device", "long", "dangling link", "below a file")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["network", "routes", "additional"])
def test_things_in_place_of_files(kind, option, road, tmp_path, refused):
    path, words = in_place_of(kind, tmp_path)
    network, routes = road
    files = {"network": network, "routes": routes, option: path}
    with refused(words):
        SumoTrafficEnv(**files)


@pytest.mark.parametrize("option", ["routes", "additional", "network"])
@pytest.mark.parametrize("given", ["", "\0", "a\0b", []])
def test_paths_that_are_none(option, given, road, refused):
    files = {"network": road[0], "routes": road[1], option: given}
    if given == [] and option != "routes":
        pytest.skip("no additional file is allowed, and a list is no network")
    with refused(option if option != "network" else ""):
        SumoTrafficEnv(**files)


READER = """
import sys
from pathlib import Path
from ilvf.envs.traffic.simulator.paths import existing_files, readable_file
import os
os.setuid(65534)
for read in (lambda: existing_files("routes", sys.argv[1]),
             lambda: readable_file("there is no network", Path(sys.argv[1]))):
    try:
        read()
    except ValueError as error:
        print(type(error).__name__, error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("locked", ["file", "folder"])
def test_file_without_read_permission(locked, tmp_path):
    file = tmp_path / "file.xml"
    file.write_text(GOOD)
    (file if locked == "file" else tmp_path).chmod(0)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(file)], capture_output=True, text=True, cwd=ROOT
    )
    tmp_path.chmod(0o700)
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    for line in lines:
        assert line.startswith("UsageError")
        assert "cannot be read: Permission denied" in line


def test_table_with_a_byte_order_mark_and_a_deep_table(tmp_path, refused):
    table = tmp_path / "table.json"
    table.write_bytes(BOM + b'{"signals": {"J1": {}}}')
    assert read_table(table) == {"J1": {}}
    table.write_text("[" * 10**6)
    with refused("table.json is not JSON"):
        read_table(table)
    table.write_bytes(b"\xff\xfe\xfa")
    with refused("table.json is not JSON"):
        read_table(table)


def test_map_that_cannot_be_written(tiny_net, tmp_path):
    for name in ("nothing/map.png", "map.strange"):
        with pytest.raises(UsageError, match="cannot be written"):
            main([str(tiny_net), "--map", str(tmp_path / name)])
