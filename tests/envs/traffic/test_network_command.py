"""`python -m ilvf.envs.traffic.network`, the grid's command, and the page of the documentation."""

import subprocess
import sys
from pathlib import Path

from helpers import ROOT
from ilvf.envs.traffic import read_network
from ilvf.envs.traffic.network.__main__ import main
from ilvf.envs.traffic.scenarios import large_grid
from ilvf.envs.traffic.simulator.sumo_tools import run_program


def test_command_prints_signals_and_draws_them(tmp_path, monkeypatch, capsys, tiny_net):
    monkeypatch.chdir(tmp_path)
    main([str(tiny_net), "--map", "tiny.png"])
    header, first, _, third, *_ = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["signal", "phases", "links", "lanes", "neighbours"]
    assert first == ["J1", "2", "2", "2", "J2"]
    assert third == ["J3", "2", "2", "2", "-"]
    assert (tmp_path / "tiny.png").stat().st_size > 5000


def test_command_of_the_large_grid(tmp_path, monkeypatch, capsys, grid_files):
    """It names the files in the cache and draws the grid."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ILVF_CACHE", str(grid_files.net_file.parents[1]))
    large_grid.main()
    printed = capsys.readouterr().out
    assert all(name in printed for name in large_grid.FILES)
    assert (tmp_path / "large_grid.png").stat().st_size > 5000


def test_command_ends_in_one_sentence(tmp_path):
    missing = tmp_path / "nowhere.net.xml"
    command = [sys.executable, "-m", "ilvf.envs.traffic.network", str(missing)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == f"error: there is no network {missing}"
    assert "Traceback" not in done.stderr


def test_documentation(tmp_path, monkeypatch, capsys):
    """docs/guides/your_own_network.md: its network, its table, and what they print."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "guides" / "your_own_network.md").read_text()
    blocks = [block.partition("\n") for block in text.split("```")[1::2]]
    shell = blocks[0][2]
    shown = blocks[1][2]
    table = next(k for k, (kind, _, _) in enumerate(blocks) if kind == "json")
    generate, _, show = shell.partition("\npython")
    run_program(*generate.replace("\\\n", "").split())
    main(show.split()[2:])
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in shown.splitlines() if line != "..." and line not in printed] == []
    Path("table.json").write_text(blocks[table][2])
    city = read_network("city.net.xml", table="table.json")
    assert list(city.notes) == blocks[table + 2][2].splitlines()
    place = {signal.id: i for i, signal in enumerate(city.signals)}
    assert city.neighbours[place["37"], place["65"]]
    assert not city.neighbours[place["37"], place["23"]]
    assert city.neighbours[place["23"], place["37"]]
    derived = read_network("city.net.xml")
    assert derived.neighbours[place["37"], place["23"]]
    assert f"city.neighbour_lists[0]  # {derived.neighbour_lists[0]}:" in text
