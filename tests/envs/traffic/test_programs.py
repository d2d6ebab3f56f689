"""Signal programs in additional files: what is read is what SUMO shows."""

import gzip
import json
import subprocess
import sys
from contextlib import closing

import pytest

from ilvf.envs import make_env
from ilvf.envs.traffic import SumoTrafficEnv, read_network
from ilvf.envs.traffic.network.__main__ import main

# J1 of the tiny network has two links. Each program has two green phases of its own.
A = ("Gr", "yr", "rg")
B = ("gr", "yr", "rG", "GG")
OTHER = ("GG", "rr", "gg")  # of J5, which has one phase in the net file

SHOWN = """
import json, os, sys
os.environ["LIBSUMO_AS_TRACI"] = "quiet"
import libsumo
libsumo.start(["sumo", *sys.argv[1:]])
lights = libsumo.trafficlight
found = {}
for light in lights.getIDList():
    program = lights.getProgram(light)
    (logic,) = [l for l in lights.getAllProgramLogics(light) if l.programID == program]
    found[light] = [phase.state for phase in logic.phases]
print(json.dumps(found))
"""


def shown_by_sumo(net, *arguments):
    """Signal → the states of the program that SUMO runs."""
    done = subprocess.run(
        [sys.executable, "-c", SHOWN, "-n", str(net), "--no-warnings", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def program(states, name="a", signal="J1"):
    phases = "".join(f'<phase duration="10" state="{state}"/>' for state in states)
    return f'<tlLogic id="{signal}" programID="{name}" type="static" offset="0">{phases}</tlLogic>'


def green_of(states):
    return tuple(s for s in states if set(s) & set("Gg") and not set(s) & set("yYu"))


def write(folder, texts):
    """Files of these contents, in this order."""
    files = []
    for k, text in enumerate(texts):
        file = folder / f"{k}.add.xml"
        file.write_text(f"<additional>{text}</additional>")
        files.append(file)
    return files


CASES = {  # contents of successive files → the program that counts, by signal
    "one file": ([program(A)], {"J1": A}),
    "two files": ([program(A), program(B, "b")], {"J1": B}),
    "two files in reverse order": ([program(B, "b"), program(A)], {"J1": A}),
    "two programs in a file": ([program(A) + program(B, "b")], {"J1": B}),
    "two signals": ([program(A) + program(OTHER, signal="J5")], {"J1": A, "J5": OTHER}),
    "without a programID": ([program(A).replace(' programID="a"', "")], {"J1": A}),
    "only parameters": (
        ['<tlLogic id="J1" programID="0"><param key="a" value="1"/></tlLogic>'],
        {},
    ),
    "parameters after a program": (
        [program(A), '<tlLogic id="J1" programID="a"><param key="a" value="1"/></tlLogic>'],
        {"J1": A},
    ),
    "below another element": ([f"<group>{program(A)}</group>"], {"J1": A}),
    "detectors only": (
        ['<laneAreaDetector id="d" lane="J1_k_0" pos="0" endPos="9" file="NUL" period="9"/>'],
        {},
    ),
}


@pytest.mark.parametrize(("texts", "expected"), CASES.values(), ids=CASES)
def test_the_program_that_sumo_shows_is_read(texts, expected, tiny_net, tmp_path):
    files = write(tmp_path, texts)
    shown = shown_by_sumo(tiny_net, "-a", ",".join(map(str, files)))
    network = read_network(tiny_net, additional=files)
    assert network.programs == expected
    for signal, states in expected.items():
        assert tuple(shown[signal]) == states
    phases = {signal.id: signal.phases for signal in network.signals}
    for signal in ("J1", "J2", "J3", "J4"):
        one_each = dict.fromkeys(green_of(shown[signal]))
        assert phases[signal] == tuple(one_each)
    assert ("J5" in phases) == ("J5" in expected)


def test_included_and_compressed_files(tiny_net, tmp_path):
    (tmp_path / "inner.xml").write_text(f"<additional>{program(A)}</additional>")
    (outer,) = write(tmp_path, ['<include href="inner.xml"/>'])
    compressed = tmp_path / "c.add.xml.gz"
    compressed.write_bytes(gzip.compress(f"<additional>{program(B, 'b')}</additional>".encode()))
    for file, states in ((outer, A), (compressed, B)):
        assert tuple(shown_by_sumo(tiny_net, "-a", str(file))["J1"]) == states
        assert read_network(tiny_net, additional=file).programs == {"J1": states}


@pytest.mark.parametrize("kind", ["word", "equals", "configuration"])
def test_files_in_sumos_own_options(kind, road, tmp_path, make_road):
    network, routes = road
    (file,) = write(tmp_path, [program(B)])
    configuration = tmp_path / "c.sumocfg"
    configuration.write_text(
        '<configuration><input><additional-files value="0.add.xml"/></input></configuration>'
    )
    options = {
        "word": ["-a", str(file)],
        "equals": [f"--additional-files={file}"],
        "configuration": ["-c", str(configuration)],
    }[kind]
    env = make_road(str(network.net_file), routes, options=options)
    assert env.network.programs == {"J1": B}
    assert int(env.action_space("J1").n) == 3
    env.reset(seed=0)


def test_files_of_a_configuration_are_loaded_with_others(road, tmp_path, make_road):
    """The configuration's come first; its program of J1 is replaced, that of J5 is not."""
    first = program(A) + program(OTHER, signal="J5")
    _, file = write(tmp_path, [first, program(B, "b")])
    configuration = tmp_path / "c.sumocfg"
    configuration.write_text(
        '<configuration><input><additional-files value="0.add.xml"/></input></configuration>'
    )
    net = str(road[0].net_file)
    env = make_road(net, road[1], additional=file, options=["-c", str(configuration)])
    assert env.network.programs == {"J1": B, "J5": OTHER}
    shown = shown_by_sumo(net, *env.simulation.arguments[4:6], "-c", str(configuration))
    assert (tuple(shown["J1"]), tuple(shown["J5"])) == (B, OTHER)
    env.reset(seed=0)


@pytest.mark.parametrize(("seconds", "warned"), [("20", 1), ("600", 0)])
def test_a_configurations_time_to_teleport_is_warned_of(
    seconds, warned, road, tmp_path, make_road, recwarn
):
    configuration = tmp_path / "c.sumocfg"
    configuration.write_text(
        f'<configuration><processing><time-to-teleport value="{seconds}"/></processing>'
        "</configuration>"
    )
    make_road(*road, options=["-c", str(configuration)])
    found = [str(w.message) for w in recwarn if "time-to-teleport=20" in str(w.message)]
    assert len(found) == warned
    assert all("teleport=600" in text and str(configuration) in text for text in found)


def test_command_reads_additional_files(tiny_net, tmp_path, capsys):
    files = write(tmp_path, [program(B), program(OTHER, signal="J5")])
    picture = tmp_path / "map.png"
    main([str(tiny_net), "--additional", *map(str, files), "--map", str(picture)])
    lines = capsys.readouterr().out.splitlines()
    phases = {line.split()[0]: line.split()[1] for line in lines[1:6]}
    assert (phases["J1"], phases["J5"]) == ("3", "2")


def test_network_that_was_read_without_the_programs(road, tmp_path, refused):
    network, routes = road
    (file,) = write(tmp_path, [program(A)])
    with refused("J1", "read_network(NET, additional=FILES)"):
        SumoTrafficEnv(network, routes, additional=file)
    with refused("J1", "read_network(NET, additional=FILES)"):
        SumoTrafficEnv(read_network(network.net_file, additional=file), routes)


@pytest.mark.parametrize("workers", [0, 1])
def test_environment_by_name_has_the_programs(road, tmp_path, workers):
    network, routes = road
    (file,) = write(tmp_path, [program(B)])
    files = {"net_file": str(network.net_file), "routes": str(routes), "additional": str(file)}
    with closing(make_env("sumo", **files, seconds=20, seed=0, workers=workers)) as env:
        assert env.network.signals[0].phases == green_of(B)
        env.rollout(4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (program(("G", "r")), ("signal J1", "correct its <tlLogic>")),
        (program(("GG", "r")), ("signal J1", "correct its <tlLogic>")),
        (program(("xG", "Gx")), ("signal J1", "SUMO's letters are")),
        (program(A)[:-5], ("is not XML", "line 1")),
        ('<include href="0.add.xml"/>', ("0.add.xml", "includes itself")),
        ('<include href="nothing.xml"/>', ("there is no file", "nothing.xml")),
        ('<include href="."/>', ("is a folder",)),
    ],
)
def test_wrong_programs(text, words, tiny_net, tmp_path, refused):
    files = write(tmp_path, [text])
    with refused(*words):
        read_network(tiny_net, additional=files)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (program(A, "0"), ("SUMO says", "J1")),  # the net file has a program of this name
        (program(A, "off"), ("SUMO says", "off")),
        (program(A) + program(B), ("SUMO says", "J1")),
        (program(A, signal="nowhere"), ("SUMO says", "nowhere")),
    ],
)
def test_programs_that_sumo_refuses(text, words, road, tmp_path, make_road, refused):
    network, routes = road
    files = write(tmp_path, [text])
    env = make_road(str(network.net_file), routes, additional=files)
    with refused(*words):
        env.reset(seed=0)


def test_last_of_several_programs_in_the_net_file(tiny_net, tmp_path):
    net = tmp_path / "two.net.xml"
    text = tiny_net.read_text()
    place = text.index("<junction id")
    net.write_text(text[:place] + program(B, "1") + text[place:])
    shown = tuple(shown_by_sumo(net)["J1"])
    assert shown == B
    assert read_network(net).signals[0].phases == green_of(B)
