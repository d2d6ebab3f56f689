"""Arguments that name a file or folder, and sizes of experiments: refused before the work."""

import os

import pytest
from click.testing import CliRunner

from ilvf.commands.cli import main

PATHS = {  # argument of a command that names a path
    "resume": ["train", "ilvf_p", "resume={}"],
    "out of resume=last": ["train", "ilvf_p", "resume=last", "out={}"],
    "out": ["train", "ilvf_p", "out={}"],
    "preset": ["train", "ilvf_p", "preset={}.yaml"],
    "env": ["train", "ilvf_p", "env={}.yaml"],
    "checkpoint": ["evaluate", "checkpoint={}"],
    "out of checkpoint=last": ["audit", "checkpoint=last", "out={}"],
    "out of a rule": ["evaluate", "policy=random", "out={}"],
    "out of a store": ["compare", "out={}"],
    "compare.picture": ["compare", "compare.picture={}.png"],
    "picture": ["theory", "picture={}.png"],
}


@pytest.fixture
def ilvf(tmp_path, monkeypatch):
    """ilvf("train", "mappo", ...) runs the program in a folder with a file, a loop and a store."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mlflow.db").touch()
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("x" * 10_000, "xxx"),
        ("x" * 300, "xxx"),
        ("x/" * 3000, "x/x/x"),
        ("a\0b", r"a\x00b"),
        ("notes.txt/x", "notes.txt"),
        ("loop/x", "loop"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_path_that_cannot_be_used_is_one_sentence(key, path, words, ilvf):
    *command, last = PATHS[key]
    result = ilvf(*command, last.format(path))
    assert result.exit_code == 2, result.exception
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    assert len(result.output) < 500
    assert words in result.output


def test_a_path_that_may_not_be_looked_up_is_one_sentence(ilvf, monkeypatch):
    stat = os.stat

    def denied(path, *args, **kwargs):
        if "secret" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", denied)
    result = ilvf("evaluate", "checkpoint=secret/run")
    assert result.output == (
        "error: checkpoint='secret/run' is no path that can be used (Permission denied)\n"
    )


@pytest.mark.parametrize("picture", ["a.xyz", "a", "folder.png"])
@pytest.mark.parametrize("command", [["theory", "picture={}"], ["compare", "compare.picture={}"]])
def test_a_file_that_is_no_picture_is_refused_before_the_work(picture, command, ilvf, tmp_path):
    (tmp_path / "folder.png").mkdir()
    *words, last = command
    result = ilvf(*words, last.format(picture))
    assert result.exit_code == 2
    assert f"picture='{picture}' must be a file that ends in .png" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", f"algorithm.eval_episodes={10**18}"], "algorithm.eval_episodes="),
        (["audit", f"audit.states={10**18}"], "audit.states="),
        (["audit", *[f"audit.{k}={10**9}" for k in ("states", "actions", "repeats")]], "10000"),
        (["influence", *[f"influence.{k}={10**9}" for k in ("episodes", "actions")]], "40000"),
        (["audit", "audit.level=7"], "audit.level=7"),
        (["audit", "audit.threads=1000000000"], "audit.threads="),
    ],
)
def test_sizes_of_experiments_are_limited(arguments, words, ilvf):
    result = ilvf(*arguments)
    assert result.exit_code == 2
    assert words in result.output
