"""States between two phases: every letter of SUMO's states, and right turns on red."""

from itertools import product

import pytest

import traffic_nets
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network.lights import LETTERS
from ilvf.envs.traffic.simulator.sumo_process import transition
from traffic_helpers import play

GREEN = "Gg"
CLEARED = ("Gr", "rG")  # two links of which one loses green and the other gains it


def between(before, after):
    """The letter of one link while another link loses green."""
    return transition(CLEARED[0] + before, CLEARED[1] + after)[2:]


def check(before, after, shown):
    """Check the letter `shown` of a link between its letters of two phases."""
    if before in GREEN and after not in GREEN:
        assert shown == "y"
    elif before not in GREEN and after in GREEN:
        assert shown == before
    elif before in "oO" and after not in "oO":
        assert shown == "y"
    elif before not in "oO" and after in "oO":
        assert shown == before
    elif (before, after) == ("g", "G"):
        assert shown == before  # priority waits
    else:
        assert shown == after


@pytest.mark.parametrize(("before", "after"), product(LETTERS, LETTERS))
def test_every_pair_of_letters(before, after):
    check(before, after, between(before, after))


@pytest.mark.parametrize("after", [letter for letter in LETTERS if letter not in GREEN])
@pytest.mark.parametrize("before", GREEN)
def test_a_lost_green_alone_needs_a_transition(before, after):
    """The other link gains green, and waits until the first has cleared."""
    assert transition(before + "r", after + "G") == "yr"


@pytest.mark.parametrize("before", [letter for letter in LETTERS if letter not in "GgoO"])
def test_without_a_lost_green_the_phase_is_shown_at_once(before):
    assert transition(before + "G", "GG") == "GG"


# ---------------------------------------------------------------------- right turns on red
@pytest.fixture(scope="module")
def right_on_red(tmp_path_factory):
    """A grid whose signals let vehicles turn right after a stop."""
    net = traffic_nets.grid(
        tmp_path_factory.mktemp("red"), "-j", "traffic_light_right_on_red", "-L", "2"
    )
    return read_network(net)


def test_all_transitions_of_a_grid_with_right_turns_on_red(right_on_red):
    seen = set()
    for signal in right_on_red.signals:
        for before, after in product(signal.phases, signal.phases):
            shown = transition(before, after)
            changes = list(zip(before, after, strict=True))
            if not any(a in GREEN and b not in GREEN for a, b in changes):
                assert shown == after
                continue
            for pair, letter in zip(changes, shown, strict=True):
                check(*pair, letter)
                seen.add(pair)
    assert {("G", "s"), ("s", "G")} <= seen


def test_sumo_shows_the_transitions(right_on_red, make_road, tmp_path):
    """What SUMO records of a signal: the transition for two seconds, then the phase."""
    network = right_on_red
    signal = next(s for s in network.signals if any("s" in phase for phase in s.phases))
    record = tmp_path / "states.xml"
    watch = f'<timedEvent type="SaveTLSStates" source="{signal.id}" dest="{record}"/>'
    additional = tmp_path / "watch.add.xml"
    additional.write_text(f"<additional>{watch}</additional>")
    flow = traffic_nets.FLOW.format(0, "A0A1", "A1A2", 99, 'period="9"')
    routes = traffic_nets.write_routes(tmp_path / "grid.rou.xml", [flow])
    env = make_road(network, routes, additional=additional, seconds=10)
    play(env, 2, lambda t, i: t + 1, seed=0)
    env.close()
    found = [part.partition('"')[0] for part in record.read_text().split(' state="')[1:]]
    first, second = signal.phases[0], signal.phases[1]
    expected = []
    for before, wanted in ((first, second), (second, signal.phases[2 % len(signal.phases)])):
        expected += [transition(before, wanted)] * 2 + [wanted] * 3
    assert found == expected
