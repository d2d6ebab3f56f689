"""Arguments that nobody means: each ends in one sentence, and allocates nothing."""

import subprocess
import sys

import pytest

from helpers import ROOT, bare_trainer
from ilvf.data.evaluation import evaluation_seed
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.seeds import parse_seeds


@pytest.mark.parametrize(
    "argument",
    [
        "algorithm.hidden=1000000000",
        "algorithm.depth=1000000000",
        "algorithm.num_envs=1000000000",
        "algorithm.rollout_steps=1000000000",
        "algorithm.eval_episodes=10000000000",
        "algorithm.eval_steps=10000000000",
    ],
)
def test_memory_is_asked_for_before_it_is_allocated(argument, refused):
    config = resolve(training_schema("ilvf_p"), [argument])
    with refused("GiB", "available"):
        build(config)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("seed=" + "9" * 400, ("seed", "2^63")),
        ("seed=4294967296", ("seed=4294967296", "[0, 4294967296)")),
        ("env.horizon=" + "9" * 400, ("env.horizon", "2^63")),
        ("env.horizon=" + "9" * 5000, ("env.horizon", "whole number")),
        ("algorithm.lr=" + "9" * 400, ("algorithm.lr", "finite")),
        ("trainer.max_epochs=" + "9" * 5000, ("trainer.max_epochs", "whole number")),
        ("trainer.max_epochs=-3", ("trainer.max_epochs=-3", "at least 1")),
        ("trainer.max_epochs=1.5", ("trainer.max_epochs=1.5", "whole number")),
        ("trainer.devices=" + "9" * 5000, ("trainer.devices", "5000 digits")),
        ("trainer.devices=0x" + "f" * 5000, ("trainer.devices", "5002 digits")),
        ("trainer.devices=0x" + "f" * 50, ("trainer.devices", "2^63")),
        ("trainer.devices=-2", ("trainer.devices=-2", "at least 1")),
        ("trainer.devices=1.5", ("trainer.devices=1.5", "whole number")),
        ("trainer.devices=010", ("trainer.devices=010", "octal")),
        ("trainer.threads=1000000000", ("trainer.threads=1000000000", "1024")),
        ("algorithm.num_envs=" + "9" * 5000, ("algorithm.num_envs", "whole number")),
        ("algorithm.num_envs=-1", ("algorithm.num_envs=-1", "at least 1")),
        ("algorithm.eval_steps=0", ("algorithm.eval_steps=0", "at least 1")),
    ],
)
def test_huge_numbers_are_refused(argument, words, refused):
    with refused(*words):
        resolve(training_schema("ilvf_p"), [argument])


@pytest.mark.parametrize(
    "arguments",
    [
        [b"out=\xff\xfe"],
        [b"\xff=3"],
        ["env.n_agents=1000000"],
        ["env=tabular", "env.n_agents=60"],
        ["algorithm.lr="],
        ["seeds="],
        ["=", "="],
        ["out=a\x01b"],
    ],
    ids=str,
)
def test_a_strange_argument_is_no_traceback(arguments, tmp_path):
    command = [sys.executable, ROOT / "recipes" / "ilvf_p.py", "--cfg", *arguments]
    found = subprocess.run(command, capture_output=True, cwd=tmp_path)
    assert b"Traceback" not in found.stderr
    assert found.returncode in (0, 2)


def test_a_key_that_is_given_twice_is_announced(capsys):
    assert resolve(training_schema("ilvf_p"), ["seed=1", "seed=2"]).seed == 2
    assert "seed is given twice; seed=2 counts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0-", ("seeds=0-", "no list of seeds")),
        ("-3", ("no list of seeds",)),
        ("", ("no list of seeds",)),
        ("a-b", ("no list of seeds",)),
        ("0-99999999999", ("no list of seeds",)),
        ("0-9999999999", ("too much", "1000")),
        ("4294967296", ("too much", "2^32")),
        ("4-0", ("empty", "write 0-4")),
        ("0-100000000", ("too much", "1000")),
        ("0-" + "9" * 5000, ("no list of seeds", "5002 characters")),
        ("0,,1", ("no list of seeds",)),
    ],
)
def test_a_wrong_list_of_seeds_is_one_sentence(text, words, refused):
    with refused(*words):
        parse_seeds(text)


def test_too_many_seeds_are_refused_before_anything_is_made(tmp_path, recipe, capsys):
    out = tmp_path / "runs"
    assert recipe("ilvf_p", f"out={out}", "seeds=0-100000000") == 2
    assert "seeds=0-100000000 is too much" in capsys.readouterr().err
    assert not out.exists()


def test_a_list_of_seeds():
    assert parse_seeds("0-2, 7,1") == [0, 1, 2, 7]
    assert parse_seeds(5) == [5]


def test_derived_seeds_stay_below_2_to_the_32():
    assert 0 <= evaluation_seed(2**32 - 1) < 2**32
    module = build(resolve(training_schema("mappo"), ["env.n_agents=4", "seed=4294967295"]))
    bare_trainer(1).fit(module)
