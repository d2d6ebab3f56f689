"""`make bench OLD=COMMIT`: the figures of a commit beside those of the tree."""

import shutil
import subprocess
import sys

import pytest

from helpers import ROOT

SCRIPT = """
import made
print("agents | time [ms]  GiB  frames/s")
print(f"    20 | {made.MS:9.2f} 0.50 {8e5 / made.MS:.0f}")
"""


def git(folder, *words):
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    subprocess.run(["git", "-C", str(folder), *author, *words], check=True, capture_output=True)


def bench(folder, *words):
    command = [sys.executable, "benchmarks/bench.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path):
    """One script and one source, of which the tree is twice as fast as the commit."""
    for name in ("benchmarks", "src"):
        (tmp_path / name).mkdir()
    for name in ("bench.py", "common.py"):
        shutil.copy(ROOT / "benchmarks" / name, tmp_path / "benchmarks")
    (tmp_path / "benchmarks" / "fast.py").write_text(SCRIPT)
    (tmp_path / "src" / "made.py").write_text("MS = 8.0\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "slow")
    (tmp_path / "src" / "made.py").write_text("MS = 4.0\n")
    return tmp_path


def test_old_figures_are_beside_the_new_ones(repository):
    found = bench(repository, "--old", "HEAD", "--only", "fast.py")
    assert found.returncode == 0, found.stderr
    assert [line.split() for line in found.stdout.splitlines()[2:]] == [
        ["agents", "|", "time", "[ms]", "GiB", "frames/s"],
        ["old", "20", "|", "8", "0.5", "100000"],
        ["new", "20", "|", "4", "0.5", "200000"],
        ["ratio", "20", "|", "0.5", "1", "2"],
    ]
    trees = subprocess.check_output(["git", "-C", str(repository), "worktree", "list"], text=True)
    assert len(trees.splitlines()) == 1


def test_without_an_old_commit_the_tree_is_shown(repository):
    found = bench(repository, "--only", "fast.py")
    assert "4.00 0.50" in found.stdout
    assert found.returncode == 0


def test_a_new_script_is_said_to_be_new(repository):
    shutil.copy(repository / "benchmarks" / "fast.py", repository / "benchmarks" / "more.py")
    found = bench(repository, "--old", "HEAD", "--only", "more.py")
    assert "HEAD does not have it; this tree alone:" in found.stdout
    assert "4.00 0.50" in found.stdout
    assert found.returncode == 0


def test_tables_with_other_columns_have_no_ratio(repository):
    script = repository / "benchmarks" / "fast.py"
    script.write_text(SCRIPT.replace("  GiB", "  cores"))
    found = bench(repository, "--old", "HEAD", "--only", "fast.py")
    lines = [line.split()[0] for line in found.stdout.splitlines()[2:]]
    assert lines == ["agents", "20", "old", "old"]


def test_a_script_that_fails_is_named(repository):
    (repository / "src" / "made.py").write_text("raise SystemExit(3)\n")
    found = bench(repository, "--old", "HEAD", "--only", "fast.py")
    assert "it ended with 3" in found.stdout
    assert found.returncode == 1
    assert "failed: fast.py" in found.stderr


@pytest.mark.parametrize("commit", ["nonsense", "--all", ""])
def test_what_is_no_commit_is_one_sentence(repository, commit):
    found = bench(repository, f"--old={commit}", "--only", "fast.py")
    if commit:
        assert f"OLD={commit} is no commit" in found.stderr
        assert "Traceback" not in found.stderr
    else:
        assert found.returncode == 0  # make bench OLD=
