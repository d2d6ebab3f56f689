"""Runs with files that are missing or broken, that begin later, or that cannot be written."""

import warnings

import pytest

import traffic_nets
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.envs.traffic.simulator.episodes import EPISODE_SEED_STRIDE
from traffic_helpers import SMALL

NO_EDGE = '<routes><vehicle id="v" depart="0"><route edges="nowhere"/></vehicle></routes>'
HALF_ROUTES = '<routes><flow id="f" from="a_J1"'


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("net_file", "<net", ("file.xml is not a SUMO network",)),
        ("net_file", "<routes/>", ("file.xml is not a SUMO network",)),
        ("net_file", None, ("there is no network", "file.xml")),
        ("routes", None, ("there is no file", "file.xml")),
        ("routes", NO_EDGE, ("SUMO says", "nowhere", "not known")),
        ("routes", HALF_ROUTES, ("SUMO says", "file.xml")),
        ("table", None, ("file.xml cannot be read",)),
        ("additional", None, ("there is no file", "file.xml")),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_broken_files_are_one_sentence(key, content, words, workers, crossing, out, recipe, capsys):
    broken = out / "file.xml"
    if content is not None:
        broken.write_text(content)
    settings = (f"env.{key}={broken}", f"env.workers={workers}", f"out={out}")
    others = [argument for argument in crossing if not argument.startswith(f"env.{key}=")]
    assert recipe("ilvf_p", *SMALL, *others, *settings) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert all(word in error for word in words), error
    assert not list(out.glob("*/metrics.jsonl"))


@pytest.fixture
def morning(tmp_path):
    """A route file whose traffic begins at 7:00."""
    file = tmp_path / "morning.rou.xml"
    flow = '<flow id="f" from="a_J1" to="J3_b" begin="25200" end="28800" period="4"/>'
    return str(traffic_nets.write_routes(file, [flow]))


def test_traffic_that_begins_later_is_a_warning(morning, crossing, recipe, tmp_path, capsys):
    settings = (f"env.routes={morning}", "algorithm.eval_episodes=2", f"out={tmp_path}")
    cause = "no vehicle has departed in an episode of .*--begin SECONDS"
    with pytest.warns(UserWarning, match=cause):
        assert recipe("evaluate", "policy=random", *crossing, *settings) == 0
    assert "episode/running               0.0000" in capsys.readouterr().out


def test_files_without_vehicles_are_named(crossing, recipe, tmp_path):
    """The route file has a route, and nothing that drives along it."""
    file = traffic_nets.write_routes(tmp_path / "r.rou.xml", ['<route id="r" edges="a_J1 J1_k"/>'])
    settings = (f"env.routes={file}", "algorithm.eval_episodes=1", f"out={tmp_path}")
    with pytest.warns(UserWarning, match=r"r\.rou\.xml.* has no vehicle, trip or flow"):
        assert recipe("evaluate", "policy=random", *crossing, *settings) == 0


def test_simulation_can_begin_later(morning, crossing, recipe, tmp_path, capsys):
    settings = (f"env.routes={morning}", "algorithm.eval_episodes=2", f"out={tmp_path}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begin = "env.options=--begin 25200"
        assert recipe("evaluate", "policy=random", *crossing, *settings, begin) == 0
    page = capsys.readouterr().out
    assert "episode/running" in page
    assert "episode/running               0.0000" not in page


def test_full_disk_costs_a_run_only_its_trips(crossing, out, recipe):
    trips = out / "trips"
    trips.mkdir()
    lost = f"tripinfo-{SEED_STRIDE}.xml"  # first episode of the second copy
    (trips / lost).symlink_to("/dev/full")
    with pytest.warns(UserWarning, match=f"{lost} is not complete; is the disk full"):
        assert recipe("ilvf_p", *SMALL, *crossing, f"env.tripinfo={trips}", f"out={out}") == 0
    for seed in (0, EPISODE_SEED_STRIDE, SEED_STRIDE + EPISODE_SEED_STRIDE):
        assert "</tripinfos>" in (trips / f"tripinfo-{seed}.xml").read_text()
