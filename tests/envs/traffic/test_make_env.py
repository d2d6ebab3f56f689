"""Traffic environments by name, their options, and what happens without SUMO."""

import subprocess
import sys
from contextlib import closing
from dataclasses import fields

import pytest

from ilvf.envs import make_env
from ilvf.envs.options import LargeGridOptions, MonacoOptions, SignalOptions, SumoOptions
from ilvf.envs.traffic import read_network


@pytest.fixture
def files(road):
    network, routes = road
    return {"net_file": str(network.net_file), "routes": str(routes)}


def test_any_network(files):
    with closing(make_env("sumo", **files, seconds=20, seed=0, max_edges=1)) as env:
        assert env.horizon == 4
        assert env.rollout(4)["next", "truncated"][0, -1]
        assert not env.neighbours.any()  # J1 and J2 are three edges apart


def test_large_grid():
    with closing(make_env("large_grid", seed=0, options="--step-length 0.5")) as env:
        assert (env.n_agents, env.n_actions, env.state_dim, env.observation_dim) == (25, 5, 12, 60)
        assert not env.masked
        assert env.senses.detectors
        assert env.senses.options.reward_cap is None


def test_monaco(monaco_like_net, monkeypatch, tmp_path):
    """Its reward is capped as published, unless the cap is given."""
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path))
    city = {"net_file": str(monaco_like_net), "table": "derived"}
    with closing(make_env("monaco", seed=0, **city)) as env:
        assert env.senses.options.reward_cap == 10
        assert not env.senses.detectors
        assert env.n_agents >= 28
    with closing(make_env("monaco", seed=0, reward_cap=None, **city)) as env:
        assert env.senses.options.reward_cap is None


def test_monaco_that_was_downloaded(monaco_like_net, irregular_net, monkeypatch, tmp_path, refused):
    """`net_file=None` is the file in the cache, which is compared with the traffic."""
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path))
    place = tmp_path / "monaco" / "most.net.xml"
    with refused(f"there is no Monaco network {place}: get it by python -m"):
        make_env("monaco")
    place.parent.mkdir()
    place.write_bytes(irregular_net.read_bytes())
    with refused(f"{place} is not the Monaco network: it has no edge -10114#1"):
        make_env("monaco")
    place.write_bytes(monaco_like_net.read_bytes())
    with closing(make_env("monaco", table=None, seed=0, seconds=50)) as env:
        assert env.network.net_file == place


def test_missing_files_and_unknown_names(files, refused):
    with refused("env.routes=FILE"):
        make_env("sumo", net_file=files["net_file"])
    with refused("env.net_file=FILE and env.routes=FILE"):
        make_env("sumo")
    with refused("large_grid", "monaco", "sumo"):
        make_env("grid")
    with refused("colour", "reward_scale"):
        make_env("large_grid", colour="red")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("options", '--delay "3'),
        ("options", 5),
        ("table", 3),
        ("routes", 5),
        ("additional", 5),
        ("max_edges", -1),
    ],
)
def test_wrong_values(files, name, value, refused):
    with refused(f"{name}="):
        make_env("sumo", **{**files, name: value})


# ---------------------------------------------------------------------- without SUMO
SUMO = ("sumo", "sumolib", "libsumo", "traci", "sumo_data")
WITHOUT_SUMO = f"""
import sys
sys.modules.update(dict.fromkeys({SUMO}))  # importing them fails
import ilvf
from ilvf.envs.traffic import Network, SumoTrafficEnv, read_network
from ilvf.envs.traffic.network import maps
from ilvf.envs.traffic.scenarios import large_grid, monaco
print("imported")
"""


def test_import_without_sumo():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_SUMO], capture_output=True, text=True, check=True
    )
    assert done.stdout == "imported\n"


@pytest.mark.parametrize("name", ["large_grid", "monaco", "sumo"])
def test_environment_without_sumo(name, monkeypatch, refused):
    """The error says what to install."""
    for module in SUMO:
        monkeypatch.setitem(sys.modules, module, None)
    with refused(f"env={name} needs SUMO (libsumo and sumolib)", "pip install 'ilvf[sumo]'"):
        make_env(name)


def test_environments_of_workers_import_neither_torch_nor_sumo():
    """A worker that imported torch would need seconds and memory; SUMO is in a child process."""
    code = "import sys, ilvf.envs.traffic.env; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = done.stdout.split()
    assert "ilvf.envs.traffic.env" in imported
    assert not {"torch", "libsumo"} & set(imported)


# ---------------------------------------------------------------------- options
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"yellow": 5.0}, ("yellow=5", "control_interval=5")),
        ({"control_interval": 1.0}, ("yellow=2", "control_interval=1")),
        ({"seconds": 4.0}, ("seconds=4", "one step of 5 s")),
        ({"control_interval": 7200.0}, ("seconds=3600", "one step of 7200 s")),
        ({"reward": "wait", "reward_backlog": True}, ("reward_backlog", "wait")),
        ({"reward": "pressure", "reward_backlog": True}, ("reward_backlog", "pressure")),
    ],
)
@pytest.mark.parametrize("cls", [LargeGridOptions, MonacoOptions, SumoOptions, SignalOptions])
def test_options_are_compared_before_anything_is_made(cls, options, words, refused):
    with refused(*words):
        cls(**options)


NUMBERS = [field.name for field in fields(SumoOptions) if "float" in str(field.type)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e999])
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_must_be_finite(name, value, refused):
    assert len(NUMBERS) >= 9
    with refused(f"{name}={value}", "finite"):
        SumoOptions(**{name: value})


@pytest.mark.parametrize("name", ["max_edges", "max_distance", "cover"])
def test_reading_refuses_nan(name, files, refused):
    with refused(f"{name}=nan"):
        read_network(files["net_file"], **{name: float("nan")})


@pytest.mark.parametrize("name", ["seconds", "timeout", "teleport"])
def test_times_beyond_those_of_a_machine(name, refused):
    with refused(f"{name}=1e+300"):
        SumoOptions(**{name: 1e300})


@pytest.mark.parametrize("argument", ["env.yellow=7", "env.seconds=3", "env.control_interval=nan"])
def test_command_line_refuses_options_before_sumo_starts(argument, out, recipe, capsys):
    """No file is looked for: the files of this command do not exist."""
    files = ("env.net_file=no.net.xml", "env.routes=no.rou.xml")
    assert recipe("ilvf_p", "env=sumo", *files, argument, f"out={out}") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert argument.removeprefix("env.").partition("=")[0] in error
    assert ".xml" not in error


def test_no_route_file(files, refused):
    for none in ([], ()):
        with refused("routes is empty"):
            make_env("sumo", net_file=files["net_file"], routes=none)
