"""SUMO as a separate program below the child process: `traci` and `gui`."""

import pytest

import traffic_nets
from traffic_helpers import child_of, end_soon, play, play_on, same


def sumo_of(env):
    """The SUMO program below the environment's child process."""
    (sumo,) = (p for p in child_of(env).children() if p.name().startswith("sumo"))
    return sumo


def test_traci_is_a_separate_program(road_env, monkeypatch):
    monkeypatch.setenv("LIBSUMO_AS_TRACI", "1")  # would make traci the same as libsumo
    env = road_env(simulator="traci")
    assert same(play(env, 8, seed=2), play(road_env(), 8, seed=2))
    sumo = sumo_of(env)
    env.close()
    assert not sumo.is_running()


def test_killed_program(road_env):
    env = road_env(simulator="traci")
    env.reset(seed=0)
    sumo_of(env).kill()
    with pytest.warns(UserWarning, match="SUMO says: Connection closed by SUMO. after step 0"):
        play_on(env, 1)
    assert len(play(env, 3)) == 4


@pytest.mark.parametrize(
    ("end", "timeout", "cause"),
    [("kill", 60.0, "SIGKILL"), ("suspend", 0.2, "no answer within timeout=0.2 s")],
)
def test_program_ends_with_a_lost_child(road_env, end, timeout, cause):
    """The child is killed, or it is killed because the program hangs."""
    env = road_env(simulator="traci")
    env.reset(seed=0)
    child = child_of(env)
    sumo = sumo_of(env)
    getattr(child if end == "kill" else sumo, end)()
    env.simulation.timeout = timeout  # from now on, because starting SUMO takes longer
    with pytest.warns(UserWarning, match=cause):
        play_on(env, 1)
    assert end_soon(child, sumo)


@pytest.mark.parametrize(("word", "options"), [("hurry", ["--hurry"]), ("nowhere", [])])
def test_errors_of_the_program(road, make_road, tmp_path, refused, word, options):
    """A wrong option ends it before the connection, a wrong route after."""
    element = '<vehicle id="v" depart="7"><route edges="nowhere"/></vehicle>'
    routes = traffic_nets.write_routes(tmp_path / "routes", [element])
    env = make_road(road[0], routes, simulator="traci", options=options)
    with refused("SUMO says", word):
        env.reset(seed=0)


@pytest.mark.parametrize("display", ["", ":77"])
def test_window_without_a_display(road_env, refused, monkeypatch, display):
    monkeypatch.setenv("DISPLAY", display)
    with refused("simulator=gui", f"no display (DISPLAY='{display}')", "simulator=libsumo"):
        road_env(simulator="gui").reset(seed=0)
