"""`metrics.jsonl`: what is read from a damaged file, and what is said about it."""

import json
import math
import resource
import signal
import warnings

import pytest

from ilvf.experiment.metrics_file import append_row, read_rows
from tracking_helpers import row, row_frames, started_tracker

GOOD = '{"frames": 40, "a": 1.5}'
LAST = '{"frames": 120, "a": 2.5}'


def written(tmp_path, *lines):
    """The path of a file with these lines."""
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(
    "frames",
    [
        "1e300",
        "1e400",
        "9" * 400,
        "9" * 5000,
        "-80",
        "80.5",
        "NaN",
        "Infinity",
        '"80"',
        "true",
        "null",
        "[80]",
        str(2**53 + 2),
    ],
)
def test_a_row_without_a_count_of_frames_is_left_out_with_a_warning(frames, tmp_path):
    path = written(tmp_path, GOOD, f'{{"frames": {frames}, "a": 2}}', LAST)
    with pytest.warns(UserWarning, match=r"metrics\.jsonl, line 2: .* left out$"):
        rows = read_rows(path)
    assert [found["frames"] for found in rows] == [40, 120]


@pytest.mark.parametrize("value", ["9" * 400, '"text"', "true", "null", "{}", "-1" + "0" * 400])
def test_a_value_that_is_no_number_is_left_out_with_a_warning(value, tmp_path):
    path = written(tmp_path, GOOD, f'{{"frames": 80, "a": {value}, "b": 3}}', LAST)
    with pytest.warns(UserWarning, match=r"metrics\.jsonl, line 2: "):
        rows = read_rows(path)
    assert rows[1] == {"frames": 80, "b": 3}


@pytest.mark.parametrize("name", ["", "a" * 251, "../a", "a/./b", ".", "a//b", "/a", "a\\nb"])
def test_a_name_that_mlflow_refuses_is_left_out_with_a_warning(name, tmp_path):
    path = written(tmp_path, GOOD, f'{{"frames": 80, "{name}": 1, "b": 3}}')
    with pytest.warns(UserWarning, match=r"metrics\.jsonl, line 2: "):
        rows = read_rows(path)
    assert rows[1] == {"frames": 80, "b": 3}


def test_many_damaged_lines_are_one_warning(tmp_path):
    path = written(tmp_path, GOOD, "nonsense", "[" * 100_000, "5", LAST)
    with pytest.warns(UserWarning, match=r"line 2: .*\(and of 2 more lines\)") as caught:
        read_rows(path)
    assert len(caught) == 1


def test_a_cut_last_line_and_unusual_numbers_are_no_damage(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{GOOD}\n{{"frames": 80.0, "a": NaN, "b": -Infinity}}\n{{"frames": 12')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rows = read_rows(path)
    assert [found["frames"] for found in rows] == [40, 80]
    assert math.isnan(rows[1]["a"])


def test_a_row_replaces_a_line_that_was_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_row(path, 40, {"a": 1.0})
    with path.open("a") as file:
        file.write('{"frames": 80, "a')
    append_row(path, 80, {"a": 2.0})
    lines = path.read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"frames": 40, "a": 1.0},
        {"frames": 80, "a": 2.0},
    ]


def test_of_a_row_that_a_full_disk_cuts_nothing_stays(tmp_path):
    """A limit of the file's size takes the place of the disk's."""
    path = tmp_path / "metrics.jsonl"
    append_row(path, 40, {"a": 1.0})
    whole = path.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 10, before[1]))
    try:
        with pytest.raises(OSError):
            append_row(path, 80, {"a": 2.0})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == whole
    append_row(path, 80, {"a": 2.0})
    assert len(path.read_text().splitlines()) == 2


DAMAGE = ('{"frames": 1e300, "a": 1}', f'{{"frames": 80, "a": {"9" * 400}}}')


@pytest.mark.parametrize("damage", DAMAGE, ids=["frames", "value"])
def test_damage_hides_no_later_rows_of_a_resumed_run(damage, out):
    """In the file and in MLflow, whose queue a refused row would block."""
    first = started_tracker(out)
    first.log_metrics(row(40), 40)
    first.close("FINISHED")
    path = first.run_dir / "metrics.jsonl"
    with path.open("a") as file:
        file.write(f"{damage}\n")
    with pytest.warns(UserWarning, match="line 2"):
        second = started_tracker(out, first.run_id)
    second.log_metrics(row(120), 120)
    second.close("FINISHED")
    assert row_frames(first.run_dir)[-1] == 120
    history = second.experiment.get_metric_history(second.run_id, "reward/agent_step")
    assert [point.step for point in history] == [40, 120]
