"""The drills of `make drills`, in their smallest sizes."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest

from helpers import ROOT

DRILLS = ROOT / "tools" / "drills.py"
SIZES = ("--kills", "1", "--inputs", "300", "--real-inputs", "0", "--files", "1")


@pytest.mark.slow
def test_the_smallest_drills_find_nothing(tmp_path):
    summary = tmp_path / "drills.md"
    command = [sys.executable, DRILLS, "--only", "payloads,inputs", *SIZES, "--report", summary]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    lines = dict(re.findall(r"^([^\n]+?) +(\d+) +0 +0 +\d+$", found.stdout, re.MULTILINE))
    assert lines["bad command lines, resolved"] == "300"
    assert lines["pickles in checkpoints"] == "1"
    assert len(lines) == 9
    assert "lost = 0" in found.stdout
    assert "| metrics files | 1 | 0 | 0 |" in summary.read_text()


def test_an_unknown_group_is_refused(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    spec = importlib.util.spec_from_file_location("drills_script", DRILLS)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    with pytest.raises(SystemExit, match="unknown drills kils"):
        script.main(["--only", "kils"])


def test_lost_and_doubled_iterations_are_counted(tmp_path, monkeypatch):
    """The comparison that all drills rely on can fail."""
    monkeypatch.syspath_prepend(ROOT / "tools")
    from drills.outcome import Record
    from drills.recorded import Reference, require_rows

    whole = [{"frames": frames, "a": 1.0} for frames in (40, 80, 120)]
    logged = [*whole[:2], {**whole[1], "a": 2.0}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in logged))
    record = Record("title", progress=lambda record: None)
    record.begin("case")
    require_rows(record, tmp_path, Reference(whole, {}))
    assert record.lost == 2  # 120 is missing, 80 is doubled
    assert record.failed == 1
    assert "case: at 80: a is 2.0, uninterrupted 1.0" in record.problems
