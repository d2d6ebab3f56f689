"""`SignalController` in a simulation that the library did not start, and on plain numbers."""

import pytest
import torch

pytest.importorskip("sumolib", reason="needs the extra ilvf[sumo]")

import sumolib
import traci

from ilvf.checkpoints.policy import Policy
from ilvf.deploy import SignalController
from ilvf.deploy.signal_file import write_signals
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.modules import CategoricalActor

SECONDS = 100
SEED = 3


@pytest.fixture(scope="module")
def trained(town, tmp_path_factory):
    """(episode of the environment under a policy, file of its signals)."""
    env = SumoTrafficEnv(*town, seconds=SECONDS)
    policy = policy_for(env)
    file = tmp_path_factory.mktemp("signals") / "signals.ilvf"
    write_signals(policy, env, file)
    yield play(env, policy), file
    env.close()


def policy_for(env):
    """A team with random networks, which choose different phases in different states."""
    torch.manual_seed(0)
    width = max(space.shape[0] for space in env.observation_spaces.values())
    phases = max(int(space.n) for space in env.action_spaces.values())
    n = len(env.possible_agents)
    actor = CategoricalActor(n, width, phases, masked=True, gain=3.0, input_norm="none")
    return Policy(actor.eval(), {"recipe": "ippo"})


def play(env, policy):
    """The phases of every decision, and the halting vehicles after it."""
    n = [int(env.action_space(agent).n) for agent in env.possible_agents]
    mask = torch.arange(max(n)) < torch.tensor(n).unsqueeze(-1)
    width = policy.actor.arguments["observation_dim"]
    observations, _ = env.reset(seed=SEED)
    episode = []
    while env.agents:
        seen = torch.zeros(len(n), width)
        for i, agent in enumerate(env.possible_agents):
            seen[i, : len(observations[agent])] = torch.from_numpy(observations[agent])
        actions = policy(seen, mask).tolist()
        chosen = dict(zip(env.possible_agents, actions, strict=True))
        phases = {s.id: s.phases[chosen[s.id]] for s in env.network.signals}
        observations, *_ = env.step(chosen)
        episode.append((phases, env.queues().tolist()))
    return episode


@pytest.fixture
def simulation(town):
    """simulation(net) is a SUMO of our own, and its connection; ended after the test."""
    network, routes = town

    def start(net=network.net_file, *more):
        words = ["-n", str(net), "--seed", str(SEED), "--no-step-log", "--no-warnings", *more]
        if net == network.net_file:
            words += ["-r", str(routes), "--time-to-teleport", "-1"]
        traci.start([sumolib.checkBinary("sumo"), *words])
        return traci

    yield start
    traci.close()


@pytest.mark.slow
def test_signals_in_our_own_traci_do_what_they_do_in_the_environment(trained, simulation):
    episode, file = trained
    controller = SignalController.load(file)
    connection = simulation()
    lanes = controller.network.lanes
    phases, queues = [], []
    for second in range(SECONDS):
        controller.step(connection)
        connection.simulationStep()
        if second % 5 == 3:  # the yellow of two seconds is over
            signals = [signal.id for signal in controller.network.signals]
            light = connection.trafficlight.getRedYellowGreenState
            phases.append({name: light(name) for name in signals})
        if second % 5 == 4:
            halting = connection.lane.getLastStepHaltingNumber
            queues.append([halting(lane) for lane in lanes])
    assert phases == [chosen for chosen, _ in episode]
    assert queues == [queue for _, queue in episode]
    assert len({tuple(chosen.items()) for chosen in phases}) > 5


def test_plain_numbers_become_phases(trained):
    controller = SignalController.load(trained[1])
    empty = dict.fromkeys(controller.lanes, 0)
    quiet = controller.act(empty)
    assert set(quiet) == {signal.id for signal in controller.network.signals}
    assert all(quiet[signal.id] in signal.phases for signal in controller.network.signals)
    busy = controller.act({**empty, controller.lanes[0]: 9, controller.lanes[7]: 12.0})
    assert busy != quiet
    assert "7 signals" in repr(controller)


@pytest.mark.parametrize("number", [-1, float("nan"), float("inf"), None, "3", [1]])
def test_wrong_numbers_are_refused(trained, refused, number):
    controller = SignalController.load(trained[1])
    vehicles = dict.fromkeys(controller.lanes, 0)
    with refused("lacks 1 of", controller.lanes[0]):
        controller.act(dict.fromkeys(controller.lanes[1:], 0))
    with refused(controller.lanes[3], "at least 0"):
        controller.act({**vehicles, controller.lanes[3]: number})


@pytest.mark.parametrize("vehicles", ["lanes", None, [1, 2]])
def test_vehicles_are_a_mapping(trained, refused, vehicles):
    with refused("is no mapping", "controller.lanes"):
        SignalController.load(trained[1]).act(vehicles)


@pytest.mark.slow
def test_a_second_simulation_is_controlled_as_the_first(trained, simulation):
    controller = SignalController.load(trained[1])
    first = states_over_time(controller, simulation())
    traci.close()
    assert states_over_time(controller, simulation()) == first
    assert len({tuple(states.items()) for states in first}) > 3


def states_over_time(controller, connection, seconds=40):
    states = []
    for _ in range(seconds):
        controller.step(connection)
        connection.simulationStep()
        light = connection.trafficlight.getRedYellowGreenState
        states.append({s.id: light(s.id) for s in controller.network.signals})
    return states


def stops(before, after):
    """Links that lose green without a yellow light."""
    return [a + b for a, b in zip(before, after, strict=True) if a in "Gg" and b in "rs"]


@pytest.mark.slow
@pytest.mark.parametrize("pause", [0, 10], ids=["attached", "paused"])
def test_it_takes_over_from_what_the_lights_show(trained, simulation, pause):
    """Attached at 21 s, or without calls for 10 s in which the lights were set to others."""
    controller = SignalController.load(trained[1])
    connection = simulation()
    light = connection.trafficlight.getRedYellowGreenState
    names = [signal.id for signal in controller.network.signals]
    if pause:
        states_over_time(controller, connection, 11)
        for signal in controller.network.signals:
            connection.trafficlight.setRedYellowGreenState(signal.id, signal.phases[-1])
    for _ in range(pause or 21):
        connection.simulationStep()
    before = [light(name) for name in names]
    if pause:
        with pytest.warns(UserWarning, match="call it before every simulation step"):
            controller.step(connection)
    for _ in range(14):  # three decisions, and the yellow of the last
        controller.step(connection)
        after = [light(name) for name in names]
        assert not [stops(*pair) for pair in zip(before, after, strict=True) if stops(*pair)]
        before = after
        connection.simulationStep()
    assert before == [controller._wanted[name] for name in names]


@pytest.mark.slow
def test_a_yellow_of_others_is_not_cut_short(trained, simulation):
    controller = SignalController.load(trained[1])
    connection = simulation()
    for signal in controller.network.signals:
        state = "y" * len(signal.phases[0])
        connection.trafficlight.setRedYellowGreenState(signal.id, state)
    connection.simulationStep()
    for second in range(3):
        controller.step(connection)
        for name, wanted in controller._wanted.items():
            state = connection.trafficlight.getRedYellowGreenState(name)
            stopped = {a for a, b in zip(state, wanted, strict=True) if b == "r"}
            assert stopped == {"y" if second < 2 else "r"}
        connection.simulationStep()


@pytest.mark.slow
def test_calls_that_come_late_are_warned_of_once(trained, simulation):
    controller = SignalController.load(trained[1])
    connection = simulation()
    with pytest.warns(UserWarning, match="at 7 s, and the lights had to change at 2 s") as found:
        call_every_7_seconds(controller, connection)
    assert len(found) == 1


def call_every_7_seconds(controller, connection):
    for _ in range(6):
        controller.step(connection)
        for _ in range(7):
            connection.simulationStep()


@pytest.mark.slow
@pytest.mark.parametrize(("step", "words"), [("3", "control_interval=5 s"), ("5", "yellow=2 s")])
def test_a_step_must_divide_the_times(trained, town, simulation, refused, step, words):
    connection = simulation(town[0].net_file, "--step-length", step)
    with refused(words, f"no multiple of SUMO's step of {step} s"):
        SignalController.load(trained[1]).step(connection)


@pytest.mark.slow
def test_another_network_of_traci_is_refused(trained, simulation, tiny_net, refused):
    controller = SignalController.load(trained[1])
    with refused("the simulation has no traffic light", "another network"):
        controller.step(simulation(tiny_net))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "x"}, ("no file of signals",)),
        ({"version": 2}, ("version 2", "reads version 1")),
        ({"signals": {}}, ("entry signals is no list",)),
        ({"signals": [{"id": "a"}]}, ("damaged",)),
        ({"neighbours": [[0]]}, ("damaged", "neighbours")),
        ({"neighbours": [[99]] * 7}, ("damaged", "neighbours")),
        ({"options": {"yellow": "x"}}, ("yellow",)),
        ({"policy": {}}, ("damaged",)),
    ],
)
def test_a_damaged_file_is_refused(trained, tmp_path, refused, change, words):
    content = torch.load(trained[1], weights_only=True)
    torch.save({**content, **change}, tmp_path / "changed.ilvf")
    with refused("changed.ilvf" if "yellow" not in words else "yellow", *words):
        SignalController.load(tmp_path / "changed.ilvf")


def test_another_file_is_refused(tmp_path, refused):
    (tmp_path / "text.ilvf").write_text("no")
    with refused("text.ilvf", "cannot be read"):
        SignalController.load(tmp_path / "text.ilvf")
    with refused("nowhere.ilvf does not exist"):
        SignalController.load(tmp_path / "nowhere.ilvf")
