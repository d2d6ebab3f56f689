"""The table of a traffic report: time of trips that do not finish, and who may win a column."""

import pytest
import torch
from tensordict import TensorDict

from ilvf.reports.traffic import trips
from ilvf.reports.traffic_table import jammed, policies_table


def policy(finished, left, trip_time, value=-100.0, episodes=1):
    """Statistics of equal episodes, half of whose unfinished trips are outside."""
    numbers = {
        "return": value,
        "queue": 1.0,
        "trip_time": trip_time,
        "finished": finished / (finished + left),
        "throughput": finished,
        "running": left / 2,
        "backlog": left / 2,
        "travel_time": 10.0,
    }
    return {name: torch.full((episodes,), float(number)) for name, number in numbers.items()}


def row_of(page, name):
    (row,) = [line for line in page if line.startswith(f"| {name}")]
    return row


def test_unfinished_trips_count_until_the_end():
    """Steps of 10 s. At their ends 2, 3, 1 vehicles are on the roads and 0, 1, 1 outside.

    Their number is 0, 2, 4, 2, so they spend 10 s × (1 + 3 + 3) = 70 s. Two trips have finished,
    two have not: 70 / 4 = 17.5 s.
    """
    statistics = TensorDict(
        {
            "running": torch.tensor([[[2.0], [3.0], [1.0]]]),
            "backlog": torch.tensor([[[0.0], [1.0], [1.0]]]),
            "throughput": torch.tensor([[[0.0], [0.0], [2.0]]]),
        },
        [1, 3],
    )
    found = trips(statistics, interval=10.0)
    assert found["trip_time"].item() == 17.5
    assert found["finished"].item() == 0.5


def test_a_jam_wins_no_column():
    """It has the largest return and the shortest time of a trip, and is not compared."""
    policies = {
        "jam": policy(100, 900, 50, value=-1.0),
        "rule": policy(950, 50, 300, value=-20.0),
        "slow": policy(940, 60, 400, value=-30.0),
    }
    page = "\n".join(policies_table(policies)).splitlines()
    assert "**" not in row_of(page, "jam †")
    assert "≥ 50 | 10.0%" in row_of(page, "jam †")
    assert "**-20** |" in row_of(page, "rule")
    assert "**≥ 300** | **95.0%**" in row_of(page, "rule")
    assert "**" not in row_of(page, "slow")
    assert "than rule (95.0%): jam (10.0%)" in page[-1]


def test_a_mean_over_finished_trips_alone_is_exact():
    page = "\n".join(policies_table({"rule": policy(500, 0, 300)}))
    assert "| 300 | 100.0% |" in page
    assert "†" not in page
    assert "**" not in page


@pytest.mark.parametrize(
    ("finished", "significant"),
    [(90, False), (80, True)],  # of 100, against 95 of 100: p = 0.14 and 0.001
)
def test_only_significant_differences_count(finished, significant):
    policies = {"few": policy(finished, 100 - finished, 9), "most": policy(95, 5, 9)}
    assert jammed(policies) == ({"few": "most"} if significant else {})


def test_trips_of_all_episodes_are_tested_together():
    """88 and 95 of 100 differ by chance, p = 0.06; four such episodes do not."""
    few = policy(88, 12, 9)
    most = policy(95, 5, 9)
    assert jammed({"few": few, "most": most}) == {}
    many = {"few": policy(88, 12, 9, episodes=4), "most": policy(95, 5, 9, episodes=4)}
    assert jammed(many) == {"few": "most"}


def test_nobody_has_a_trip():
    nobody = policy(1, 0, float("nan"))
    empty = {**nobody, "throughput": torch.zeros(1), "finished": torch.tensor([float("nan")])}
    page = "\n".join(policies_table({"a": empty, "b": empty}))
    assert "| – | – | 0 |" in page
    assert "†" not in page
