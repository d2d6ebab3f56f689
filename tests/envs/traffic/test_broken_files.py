"""Files of traffic and networks that are broken: one sentence, for each simulator, and no hang."""

import dataclasses
import gzip
import warnings

import pytest

import traffic_nets
from ilvf.envs.traffic import SumoTrafficEnv, read_network
from traffic_helpers import play

WAY = "a_J1 J1_k k_m m_J2 J2_J5 J5_J3 J3_b"
FLOW = traffic_nets.FLOW.format(0, "a_J1", "J3_b", 99, 'period="3"')
GOOD = f"<routes>{FLOW}</routes>"
BOM = b"\xef\xbb\xbf"
DECLARED = '<?xml version="1.0" encoding="{}"?>'
ACCENT = GOOD.replace('id="0"', 'id="ä"')
MANY = "".join(
    f'<vehicle id="v{k}" depart="{k}"><route edges="{WAY}"/></vehicle>' for k in range(400)
)


def vehicle(of_vehicle="", of_type="", edges=WAY):
    """A route file with one vehicle."""
    kind = f'<vType id="t" {of_type}/>'
    depart = "" if "depart=" in of_vehicle else 'depart="0"'
    one = f'<vehicle id="v" type="t" {depart} {of_vehicle}><route edges="{edges}"/></vehicle>'
    return f"<routes>{kind}{one}</routes>"


NOT_XML = {
    "empty": "",
    "blank": "  \n",
    "text": "hello",
    "half": GOOD[:30],
    "half of an element": GOOD[: len(GOOD) // 2],
    "without an end": GOOD.removesuffix("</routes>"),
    "zero bytes": b"\0" * 100,
    "all bytes": bytes(range(256)),
    "Latin-1 without a declaration": ACCENT.encode("latin1"),
    "unknown entity": "<routes>&x;</routes>",
    "broken gzip": b"\x1f\x8b\x08broken",
    "half of a gzip": gzip.compress(GOOD.encode())[:40],
}
SUMO_REFUSES = {
    "missing edge": (vehicle(edges="nowhere"), "nowhere"),
    "missing edge of a flow": (GOOD.replace("a_J1", "nowhere"), "nowhere"),
    "missing type": (vehicle().replace('type="t"', 'type="tt"'), "tt"),
    "missing id": (vehicle().replace('id="v"', ""), "id"),
    "two of one id": (GOOD.replace(FLOW, FLOW * 2), "0"),
    "departure nan": (vehicle('depart="nan"'), "departure"),
    "departure inf": (vehicle('depart="inf"'), "departure"),
    "departure negative": (vehicle('depart="-5"'), "departure"),
    "rate nan": (GOOD.replace("period", "vehsPerHour").replace('"3"', '"nan"'), "rate"),
    "period nan": (GOOD.replace('"3"', '"nan"'), "rate"),
    "period 0": (GOOD.replace('"3"', '"0"'), "rate"),
    "speed is text": (vehicle(of_type='maxSpeed="fast"'), "fast"),
    "speed negative": (vehicle(of_type='maxSpeed="-1"'), "maxSpeed"),
}
NAN = {
    "vehicle": vehicle('speed="nan"'),
    "departSpeed": vehicle('departSpeed="nan"'),
    "departPos": vehicle('departPos="NaN"'),
    "single quotes": vehicle("departSpeed = 'nan'"),
    "maxSpeed": vehicle(of_type='maxSpeed="nan"'),
    "negative": vehicle(of_type='maxSpeed="-nan"'),
    "accel": vehicle(of_type='accel="nan"'),
    "length": vehicle(of_type='length="nan"'),
    "minGap": vehicle(of_type='minGap="nan"'),
    "tau": vehicle(of_type='tau="nan"'),
    "speedFactor": vehicle(of_type='speedFactor="nan"'),
}
FINE = {
    "byte order mark": BOM + GOOD.encode(),
    "declared Latin-1": DECLARED.format("ISO-8859-1").encode() + ACCENT.encode("latin1"),
    "UTF-16": (DECLARED.format("UTF-16") + ACCENT).encode("utf-16"),
    "gzip": gzip.compress(GOOD.encode()),
    "an id called nan": GOOD.replace('id="0"', 'id="nan"'),
}


def write(folder, content, name="file.rou.xml"):
    """A file with text or bytes; compressed content has the ending that SUMO expects."""
    data = content.encode() if isinstance(content, str) else content
    file = folder / (f"{name}.gz" if data[:2] == b"\x1f\x8b" else name)
    file.write_bytes(data)
    return file


@pytest.fixture(params=["libsumo", "traci"])
def run(request, road, make_road):
    """run(routes) plays an episode on the tiny network, with each simulator."""

    def play_episode(routes, network=road[0], **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = make_road(network, routes, simulator=request.param, **options)
            play(env, 99, seed=0)
        return env

    return play_episode


# ---------------------------------------------------------------------- traffic
@pytest.mark.parametrize("content", NOT_XML.values(), ids=NOT_XML)
def test_traffic_that_is_no_xml(content, run, tmp_path, refused):
    with refused("SUMO says: "):
        run(write(tmp_path, content))


@pytest.mark.parametrize(("content", "word"), SUMO_REFUSES.values(), ids=SUMO_REFUSES)
def test_traffic_that_sumo_refuses(content, word, run, tmp_path, refused):
    with refused("SUMO says: ", word):
        run(write(tmp_path, content))


def test_traffic_that_ends_in_the_middle(run, tmp_path, refused):
    """SUMO reads a long file while it simulates, so the error comes in the first steps."""
    whole = f"<routes>{MANY}</routes>"
    with refused("SUMO says: ", "file.rou.xml", "after step 0 of the episode with seed 0"):
        run(write(tmp_path, whole[: len(whole) // 2]), attempts=1)


@pytest.mark.parametrize("content", NAN.values(), ids=NAN)
def test_traffic_with_nan(content, road, tmp_path, refused):
    """SUMO takes it, and the vehicle stands in the way of the others."""
    file = write(tmp_path, content)
    with refused("file.rou.xml", "line 1", "nan", "correct that number"):
        SumoTrafficEnv(road[0], file)
    with refused("file.rou.xml", "line 1", "nan"):
        SumoTrafficEnv(*road, additional=file)


@pytest.mark.parametrize("content", FINE.values(), ids=FINE)
def test_encodings_of_traffic(content, run, tmp_path):
    env = run(write(tmp_path, content))
    assert env.episode_statistics()["running"] > 0


def test_numbers_of_sumo_that_are_not_finite(road_env, refused, monkeypatch):
    env = road_env()
    env.begin_reset(seed=0)
    monkeypatch.setattr("numpy.frombuffer", lambda answer: [float("nan")])
    with refused("no finite numbers"):
        env.reset(seed=0)


# ---------------------------------------------------------------------- additional files
@pytest.mark.parametrize("content", NOT_XML.values(), ids=NOT_XML)
def test_additional_file_that_is_no_xml(content, road, tmp_path, refused):
    file = write(tmp_path, content)
    with refused(file.name, "is not XML"):
        SumoTrafficEnv(*road, additional=file)


# ---------------------------------------------------------------------- networks
def in_all_lanes(attribute, value):
    def change(text):
        parts = text.split(f' {attribute}="')
        return parts[0] + "".join(f' {attribute}="{value}"' + p.split('"', 1)[1] for p in parts[1:])

    return change


NETWORKS = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "text": lambda text: "hello",
    "traffic": lambda text: GOOD,
    "no version": lambda text: "<net/>",
    "bytes": lambda text: bytes(range(256)),
    "Latin-1": lambda text: text.replace('id="J1"', 'id="Jä"').encode("latin1"),
    "speed nan": in_all_lanes("speed", "nan"),
    "speed inf": in_all_lanes("speed", "inf"),
    "speed negative": in_all_lanes("speed", "-3"),
    "speed is text": in_all_lanes("speed", "fast"),
    "length nan": in_all_lanes("length", "nan"),
    "no shape": in_all_lanes("shape", ""),
    "state of one letter": lambda text: text.replace('state="Gr"', 'state="G"'),
    "unknown letter": lambda text: text.replace('state="Gr"', 'state="Qr"'),
    "duration nan": lambda text: text.replace('duration="10"', 'duration="nan"'),
    "half of a gzip": lambda text: gzip.compress(text.encode())[:500],
}


@pytest.mark.parametrize("change", NETWORKS.values(), ids=NETWORKS)
def test_broken_networks(change, tiny_net, tmp_path, refused):
    file = write(tmp_path, change(tiny_net.read_text()), "file.net.xml")
    with refused(file.name):
        read_network(file)


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: BOM + text.encode(),
        lambda text: text.replace("UTF-8", "ISO-8859-1", 1).encode("latin1"),
        lambda text: gzip.compress(text.encode()),
    ],
    ids=["byte order mark", "declared Latin-1", "gzip"],
)
def test_encodings_of_networks(encode, tiny_net, run, road, tmp_path):
    file = write(tmp_path, encode(tiny_net.read_text()), "file.net.xml")
    assert run(road[1], network=str(file)).episode_statistics()["running"] > 0


@pytest.mark.parametrize("attribute", ["speed", "length"])
def test_network_that_crashes_sumo(attribute, road, run, tmp_path, refused):
    """It was changed after it was read; libsumo crashes after it has logged its error."""
    network, routes = road
    text = in_all_lanes(attribute, "nan")(network.net_file.read_text())
    changed = dataclasses.replace(network, net_file=write(tmp_path, text, "file.net.xml"))
    with refused("SUMO says: ", "nan"):
        run(routes, network=changed)
