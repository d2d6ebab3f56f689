"""Names of files and folders with characters that mean something to SUMO or a shell."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from ilvf.envs import make_env
from ilvf.envs.traffic import SumoTrafficEnv, read_network
from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.scenarios.large_grid import large_grid
from traffic_helpers import play

WORK = [  # parts of names that SUMO takes as they are
    "a b",
    "  two blanks before",
    "$",
    "$HOME",
    "${",
    "}{$",
    "%",
    "%20",
    "%s%d",
    "'",
    '"',
    "ä",
    "日本",
    "-x",
    "--help",
    "~",
    "#",
    "&amp;",
    "<a>",
    ";",
    "|",
    "*?[a]",
    "\\",
    "\t",
    "a\nb",
    "!",
    "=",
    "@",
    "(a)",
]
REFUSED = {",": "','", "a,b": "','", "${HOME}": "'${HOME}'", "x${}": "'${}'", "a\n${B}": "${B}"}
ENDINGS = {"blank at the end ": "' '", "line break\n": "\\n", "\udcff": "udcff"}
PATHS = ("network", "routes", "additional", "tripinfo")


def files_in(folder, road, prefix=""):
    """Copies of the tiny network's files in a folder, whose names begin with a prefix."""
    folder.mkdir(parents=True, exist_ok=True)
    network, routes = road
    net = folder / (prefix + "net.xml")
    traffic = folder / (prefix + "rou.xml")
    more = folder / (prefix + "add.xml")
    shutil.copy(network.net_file, net)
    shutil.copy(routes, traffic)
    more.write_text("<additional/>")
    return {"network": str(net), "routes": str(traffic), "additional": str(more)}


@pytest.mark.parametrize("simulator", ["libsumo", "traci"])
def test_names_that_work(simulator, road, make_road, tmp_path):
    for part in WORK:
        folder = tmp_path / part
        files = files_in(folder, road, part)
        env = make_road(
            **files, simulator=simulator, tripinfo=str(folder / "trips"), seconds=15, yellow=0
        )
        play(env, 3, seed=0)
        env.close()
        trips = (folder / "trips" / "tripinfo-0.xml").read_text()
        assert "</tripinfos>" in trips, part
        assert env.episode_statistics()["running"] > 0, part


@pytest.mark.parametrize("part", WORK)
def test_names_relative_to_the_working_folder(part, road, make_road, tmp_path, monkeypatch):
    files_in(tmp_path / part, road)
    monkeypatch.chdir(tmp_path)
    names = {"network": "net.xml", "routes": "rou.xml", "additional": "add.xml"}
    env = make_road(**{option: f"{part}/{name}" for option, name in names.items()}, seconds=15)
    play(env, 2, seed=0)
    assert env.episode_statistics()["running"] > 0


@pytest.mark.parametrize("option", PATHS)
@pytest.mark.parametrize(("part", "words"), REFUSED.items())
def test_names_that_are_refused(part, words, option, road, tmp_path, refused):
    good = files_in(tmp_path / "good", road)
    bad = {**files_in(tmp_path / part, road), "tripinfo": str(tmp_path / part)}
    with refused(words, "which SUMO takes for"):
        SumoTrafficEnv(**{**good, option: bad[option]})


@pytest.mark.parametrize("option", PATHS[:3])
@pytest.mark.parametrize(("ending", "words"), ENDINGS.items())
def test_endings_that_are_refused(ending, words, option, road, tmp_path, refused):
    good = files_in(tmp_path, road)
    bad = Path(good[option] + ending)
    shutil.copy(good[option], bad)
    with refused(words):
        SumoTrafficEnv(**{**good, option: str(bad)})


def test_trips_in_a_folder_that_looks_like_an_address(road, tmp_path, refused):
    with refused("':'", "port"):
        SumoTrafficEnv(*road, tripinfo=str(tmp_path / "localhost:80"))


def test_sumos_list_of_files_is_explained(road, refused):
    with refused("','", "give several files as a list"):
        SumoTrafficEnv(road[0], "a.rou.xml,b.rou.xml")


def test_file_in_sumos_own_options(road, tmp_path, refused):
    with refused("there is no file", "nothing.xml"):
        SumoTrafficEnv(*road, options=["-a", str(tmp_path / "nothing.xml")])


def test_network_alone_may_have_any_name(road, tmp_path):
    """SUMO does not read it."""
    for part in REFUSED:
        files = files_in(tmp_path / part, road)
        assert len(read_network(files["network"]).signals) == len(road[0].signals)


# ---------------------------------------------------------------------- the cache
@pytest.mark.parametrize("part", ["a b", "-cache", "$x", "ä", "%s"])
def test_caches_that_work(part, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_CACHE", part)
    scenario = large_grid()
    assert scenario.net_file.parent.parent == tmp_path / part
    with closing(make_env("large_grid", seconds=10, seed=0)) as env:
        env.rollout(2)


@pytest.mark.parametrize("part", REFUSED)
def test_caches_that_are_refused(part, tmp_path, monkeypatch, refused):
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / part))
    with refused("which SUMO takes for", "ILVF_CACHE=FOLDER"):
        large_grid()
    assert not list(tmp_path.iterdir())


def no_home(monkeypatch):
    """A user without a home folder: no HOME and no entry in the list of users."""
    for name in ("HOME", "ILVF_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr("pwd.getpwuid", unknown)


def test_user_without_a_home(monkeypatch, refused, monaco_like_net):
    no_home(monkeypatch)
    for use in (
        large_grid,
        monaco.monaco,
        lambda: monaco.monaco(monaco_like_net),
        lambda: make_env("large_grid"),
        lambda: make_env("monaco"),
        lambda: monaco.main(["--download"]),
    ):
        with refused("home folder", "ILVF_CACHE=FOLDER"):
            use()


def test_user_without_a_home_can_name_folders(monkeypatch, tmp_path, road, monaco_like_net):
    no_home(monkeypatch)
    SumoTrafficEnv(*road).close()
    monaco.monaco(monaco_like_net, folder=tmp_path)
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path))
    large_grid()
    net = ["--net", str(monaco_like_net), "--table", "derived"]
    monaco.main([*net, "--map", str(tmp_path / "map.png")])


@pytest.mark.parametrize("home", ["/proc", "/dev/null", "/dev/full"])
@pytest.mark.parametrize("variable", ["HOME", "ILVF_CACHE"])
def test_cache_that_cannot_be_written(variable, home, monkeypatch, refused, monaco_like_net):
    monkeypatch.delenv("ILVF_CACHE", raising=False)
    monkeypatch.setenv(variable, home)
    with refused("cannot write", home, "ILVF_CACHE=FOLDER"):
        large_grid()
    with refused("cannot write", home, "ILVF_CACHE=FOLDER"):
        monaco.monaco(monaco_like_net)
    with refused("cannot write", home, "ILVF_CACHE=FOLDER"):
        monaco.main(["--download", "--sha256", "0" * 64])


def test_working_folder_that_is_gone(monkeypatch, tmp_path, road, refused):
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    with refused("a simulator cannot be started here", "working folder"):
        SumoTrafficEnv(*road)
    with refused("there is no file", "rou.xml"):
        SumoTrafficEnv(road[0], "rou.xml")
    monkeypatch.chdir(os.path.dirname(folder))


def test_no_folder_for_temporary_files(monkeypatch, road, refused):
    def none(*_, **__):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryFile", none)
    with refused("a simulator cannot be started here", "TMPDIR"):
        SumoTrafficEnv(*road)
