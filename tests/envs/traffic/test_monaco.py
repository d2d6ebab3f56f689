"""Monaco: its traffic, and networks that are not Monaco."""

import hashlib
import xml.etree.ElementTree as ET

import pytest

from ilvf.envs import make_env
from ilvf.envs.options import MonacoOptions
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network.table import read_table
from ilvf.envs.traffic.scenarios import monaco
from ilvf.envs.traffic.simulator import sumo_tools


@pytest.fixture(scope="module")
def flows():
    return [flow.attrib for flow in ET.fromstring(monaco.demand()).iter("flow")]


def test_number_of_vehicles(flows):
    assert len(flows) == 88
    assert round(sum(float(flow["vehsPerHour"]) * 300 / 3600 for flow in flows)) == 2383


def test_active_flows_of_each_interval(flows):
    """2 (1 2 4 4 4 4 2 1 0 0 0) + 2 (0 0 0 1 2 4 4 4 4 2 1)."""
    active = [sum(flow["begin"] == str(300 * k) for flow in flows) for k in range(11)]
    assert active == [2, 4, 8, 10, 12, 16, 12, 10, 8, 4, 2]


def test_first_and_last_flow(flows):
    first = flows[0]
    last = flows[-1]
    assert (first["from"], first["to"], first["via"]) == ("-10114#1", "-10079", "10115#2 -10109")
    assert (last["from"], last["to"], last["via"]) == ("10061#4", "-10085", "10065#2 10102")
    assert (last["begin"], last["end"], last["departPos"]) == ("3000", "3300", "random_free")


def test_vehicles(flows):
    (vehicle,) = ET.fromstring(monaco.demand()).iter("vType")
    expected = {"id": "type1", "length": "5", "accel": "5", "decel": "10", "speedDev": "0.1"}
    assert vehicle.attrib == expected
    assert {flow["type"] for flow in flows} == {"type1"}


# ---------------------------------------------------------------------- the published table
def test_published_table():
    """28 signals, 61 directed neighbours of which 11 have no mirror, 38 lanes that extend 31."""
    table = read_table(monaco.TABLE)
    assert len(table) == 28
    pairs = {(i, j) for i, entry in table.items() for j in entry["neighbours"]}
    assert len(pairs) == 61
    assert sum((j, i) not in pairs for i, j in pairs) == 11
    assert table["10026"]["neighbours"] == ["9431", "9561", "cluster_9563_9597", "9531"]
    extensions = [lanes for entry in table.values() for lanes in entry["extensions"].values()]
    assert (len(extensions), sum(map(len, extensions))) == (31, 38)
    phases = [len(entry["phases"]) for entry in table.values()]
    assert phases == [6, 4, 2, 2, 2, 4, 2, 4, 2, 5, 2, 2, 4, 2, 2, 4, 2, 3, 6, 3, 2, *[4] * 5, 6, 3]


def test_published_table_is_the_default():
    assert MonacoOptions().table == monaco.PUBLISHED


# ---------------------------------------------------------------------- networks
def test_sumo_runs_the_traffic_on_a_city_with_the_names_of_monaco(monaco_like_net, tmp_path):
    scenario = monaco.monaco(monaco_like_net, tmp_path)
    assert not scenario.detectors
    assert not scenario.additional_files
    assert len(read_network(scenario.net_file).signals) >= 28
    assert scenario.table == monaco.TABLE
    options = ["--end", "600", "--no-step-log", "--duration-log.statistics"]
    printed = sumo_tools.run_program(
        "sumo", "-n", scenario.net_file, "-r", scenario.route_files[0], *options
    )
    inserted = int(printed.split("Inserted: ")[1].split()[0])
    # 2 and 4 flows of 325 vehicles/h for 300 s each are 162.5; some may find no room.
    assert 150 <= inserted <= 163


@pytest.mark.parametrize("given", [True, False])
def test_missing_network_says_where_it_is(tmp_path, monkeypatch, refused, given):
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path))
    with refused("no Monaco network", "--download", "github.com"):
        monaco.monaco(tmp_path / "nowhere.net.xml" if given else None)


def test_another_network_is_not_monaco(tiny_net, tmp_path, refused):
    with refused("tiny.net.xml", "-10114#1, ", "more", "not the Monaco network"):
        monaco.monaco(tiny_net, tmp_path)


def test_network_without_the_signals_of_the_published_table(monaco_like_net, tmp_path, refused):
    """Only the published table needs them."""
    net = tmp_path / "most.net.xml"
    text = monaco_like_net.read_text()
    for signal in ("9884", "joinedS_1"):
        text = text.replace(f'"{signal}"', f'"another{signal}"')
    net.write_text(text)
    with refused(f"{net} has no signal 9884, joinedS_1, which", "env.table=derived"):
        monaco.monaco(net, tmp_path)
    for table in ("derived", None):
        assert monaco.monaco(net, tmp_path, table=table).table is None
    with refused("no.json cannot be read"):
        make_env("monaco", net_file=str(net), table="no.json")


def test_published_phases_need_the_published_network(monaco_like_net, tmp_path, refused):
    with refused("phase", "letters", "one per link"):
        make_env("monaco", net_file=str(monaco_like_net))


def test_network_that_lacks_one_edge(monaco_like_net, tmp_path, refused):
    net = tmp_path / "most.net.xml"
    net.write_text(monaco_like_net.read_text().replace("gneE9", "gone"))
    with refused("no edge gneE9,"):
        monaco.monaco(net, tmp_path)


# ---------------------------------------------------------------------- the command
def test_a_download_of_another_file_is_refused(tmp_path, refused, monaco_like_net):
    arguments = ["--net", str(tmp_path / "most.net.xml"), "--download"]
    with refused(f"not {monaco.SHA256}", "--sha256", "nothing was kept"):
        monaco.main([*arguments, "--url", monaco_like_net.as_uri()])


def test_download(tmp_path, monkeypatch, capsys, monaco_like_net):
    """The file is put into the cache, shown, and found from then on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_CACHE", str(tmp_path / "cache"))
    content = monaco_like_net.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    source = ["--url", monaco_like_net.as_uri(), "--sha256", sha256]
    monaco.main(["--download", *source, "--table", "derived"])
    assert (tmp_path / "cache" / "monaco" / "most.net.xml").read_bytes() == content
    assert (tmp_path / "monaco.png").stat().st_size > 10_000
    assert "monaco.rou.xml" in capsys.readouterr().out
    assert monaco.monaco().net_file == monaco.default_net()
