"""Shared by the tests of traffic: networks, their traffic, and environments that are closed."""

import pytest

pytest.importorskip("sumolib", reason="needs the extra ilvf[sumo]")

import traffic_nets
from ilvf.envs.traffic import SumoTrafficEnv, read_network
from ilvf.envs.traffic.scenarios.large_grid import large_grid
from traffic_helpers import simulators


@pytest.fixture(scope="session")
def grid_files(tmp_path_factory):
    """The large grid's files, in a cache of their own."""
    return large_grid(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def grid(grid_files):
    """The large grid's network."""
    return read_network(grid_files.net_file)


@pytest.fixture(scope="session")
def tiny_net(tmp_path_factory):
    """The net file that `traffic_nets.tiny` draws."""
    return traffic_nets.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(tiny_net):
    return read_network(tiny_net)


@pytest.fixture(scope="session")
def irregular_net(tmp_path_factory):
    """A random city with about thirty signals."""
    return traffic_nets.irregular(tmp_path_factory.mktemp("irregular"))


@pytest.fixture(scope="session")
def monaco_like_net(tmp_path_factory):
    """The random city with the names of Monaco's edges. Copy it before you change it."""
    return traffic_nets.like_monaco(tmp_path_factory.mktemp("monaco"))


@pytest.fixture(scope="session")
def road(tiny, tmp_path_factory):
    """(network, routes): the tiny network, and cars that cross it from west to east."""
    file = tmp_path_factory.mktemp("road") / "road.rou.xml"
    flow = traffic_nets.FLOW.format(0, "a_J1", "J3_b", 99, 'period="3"')
    return tiny, traffic_nets.write_routes(file, [flow])


@pytest.fixture(scope="session")
def town(tmp_path_factory):
    """(network, routes): seven signals with 9 to 29 links and 2 to 4 phases."""
    net, routes = traffic_nets.town(tmp_path_factory.mktemp("town"), vehicles_per_hour=400)
    return read_network(net), routes


@pytest.fixture
def make_road():
    """make_road(network, routes, ...) is an environment of 100 s, closed after the test."""
    made = []
    before = simulators()

    def make(network, routes, **options):
        made.append(SumoTrafficEnv(network, routes, **{"seconds": 100, **options}))
        return made[-1]

    yield make
    for env in made:
        env.close()
    assert not simulators(besides=before)


@pytest.fixture
def town_env(town, make_road):
    """town_env(seconds=50, ...) is an environment of the town."""
    return lambda **options: make_road(*town, **options)


@pytest.fixture
def road_env(road, make_road):
    """road_env(simulator="traci", ...) is an environment of the tiny network."""
    return lambda **options: make_road(*road, **options)


@pytest.fixture(scope="session")
def crossing_files(tiny_net, tmp_path_factory):
    """(net file, route file): the tiny network, and cars on all its roads for a quarter of an hour.

    Its four signals have 2 to 4 links and 2 or 3 phases.
    """
    ways = (
        ("a_J1", "J3_b", 4),
        ("s2_J2", "J3_b", 5),
        ("s3_J3", "J3_b", 5),
        ("c_J4", "J4_d", 4),
        ("e_J4", "J4_f", 4),
    )
    flows = [
        traffic_nets.FLOW.format(k, start, end, 999, f'period="{seconds}"')
        for k, (start, end, seconds) in enumerate(ways)
    ]
    file = tmp_path_factory.mktemp("crossing") / "crossing.rou.xml"
    return tiny_net, traffic_nets.write_routes(file, flows)


@pytest.fixture(scope="session")
def crossing(crossing_files):
    """The arguments of a recipe for these files, with episodes of ten steps."""
    net, routes = crossing_files
    return "env=sumo", f"env.net_file={net}", f"env.routes={routes}", "env.seconds=50"
