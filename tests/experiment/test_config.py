"""The command line: what it resolves to, and how it says no."""

from pathlib import Path

import pytest

from helpers import ROOT
from ilvf.experiment.command_line import command_line

RECIPE = str(ROOT / "recipes" / "ilvf_p.py")


def resolved(*args):
    return command_line(RECIPE, "doc", args)


def test_defaults_are_the_practical_setting():
    cfg = resolved()
    assert cfg["env"] == {
        "name": "encircle",
        "n_agents": 20,
        "n_obstacles": 0,
        "angle": "signed",
        "horizon": 50,
    }
    a, t = cfg["algorithm"], cfg["trainer"]
    assert (a["num_envs"], a["rollout_steps"], a["epochs"], a["minibatches"], a["lr"]) == (
        64,
        50,
        5,
        4,
        1e-3,
    )
    assert 98_000 < a["num_envs"] * a["rollout_steps"] * t["max_epochs"] < 102_000  # 100 k frames


def test_dotted_keys_and_numbers():
    cfg = resolved(
        "env.n_agents=10",
        "algorithm.tau=2",
        "trainer.max_epochs=50",
        "algorithm.value_clip=null",
        "seed=3",
    )
    assert cfg["env"]["n_agents"] == 10
    assert cfg["algorithm"]["tau"] == 2.0
    assert isinstance(cfg["algorithm"]["tau"], float)
    assert cfg["algorithm"]["value_clip"] is None
    assert (cfg["trainer"]["max_epochs"], cfg["seed"]) == (50, 3)
    cfg = resolved("out=2024", "algorithm.noise=true")  # words that look like something else
    assert (cfg["out"], cfg["algorithm"]["noise"]) == ("2024", "true")


def test_the_papers_preset_is_table_1():
    cfg = resolved("preset=paper", "algorithm.lr=1e-4")
    table = dict(
        epochs=15,
        minibatches=1,
        clip=0.2,
        entropy=0.01,
        gamma=0.99,
        lmbda=0.95,
        huber_delta=10.0,
        hidden=64,
        gain=0.01,
    )
    table |= dict(
        value_norm=True,
        adam_eps=1e-5,
        max_grad_norm=10.0,
        value=1.0,
        eval_episodes=32,
        value_clip=0.2,
    )
    assert {k: cfg["algorithm"][k] for k in table} == table
    assert cfg["env"]["n_obstacles"] == 3
    assert cfg["algorithm"]["lr"] == 1e-4  # the command line wins over the preset
    assert resolved("preset=paper")["algorithm"]["lr"] == 8e-5


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("algorithm.taw=1", ("algorithm.taw", "did you mean 'algorithm.tau'")),
        ("lr=1", ("'lr'", "did you mean 'algorithm.lr'")),
        ("env.nagents=4", ("env.nagents", "env.n_agents")),
        ("algorithm.lr=fast", ("algorithm.lr='fast'", "a number")),
        ("env.n_agents=4.5", ("env.n_agents=4.5", "whole number")),
        ("algorithm.share=3", ("algorithm.share=3", "true or false")),
        ("algorithm.epochs=true", ("algorithm.epochs=True", "whole number")),
        ("env=encirle", ("env=encirle", "did you mean 'encircle'")),
        ("preset=papr", ("preset=papr", "did you mean 'paper'")),
        ("tau", ("'tau'", "key=value")),
        ("--tau=1", ("--tau=1", "--help")),
        ("algorithm.lr=null", ("algorithm.lr=null", "a number")),
        ("algorithm.lr=[1", ("algorithm.lr=[1", "cannot be read")),
        ("out=${x}", ("out=${x}", "cannot be read")),
        ("resume=nowhere.ckpt", ("nowhere.ckpt", "does not exist")),
    ],
)
def test_mistakes_are_one_sentence(argument, words, refused):
    with refused(*words):
        resolved(argument)


def test_help_lists_every_key_with_its_meaning(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line(RECIPE, "The doc.", ["--help"])
    assert stop.value.code == 0
    page = capsys.readouterr().out
    lines = {
        line.split("=")[0].strip(): line for line in page.splitlines() if line.startswith("  ")
    }
    cfg = resolved()
    for section in ("env", "algorithm", "trainer"):
        for key in cfg[section]:
            if (section, key) != ("env", "name"):
                assert len(lines[f"{section}.{key}"].split(None, 1)[1]) >= 8, (
                    key
                )  # has words behind it
    assert {"env", "preset", "resume", "seed", "seeds", "out"} <= set(lines)
    assert "The doc." in page


def test_help_of_an_unknown_environment(refused):
    with refused("env=bogus", "encircle"):
        command_line(RECIPE, "", ["--help", "env=bogus"])


def test_cfg_prints_what_would_run(capsys):
    with pytest.raises(SystemExit):
        command_line(RECIPE, "", ["--cfg", "algorithm.tau=0.25"])
    assert "tau: 0.25" in capsys.readouterr().out


def test_help_does_not_import_torch():
    import subprocess
    import sys

    code = "import sys; sys.argv = ['x', '--help']\nimport runpy\ntry: runpy.run_path(%r, run_name='__main__')\n"
    code += "except SystemExit: assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code % RECIPE],
        check=True,
        capture_output=True,
        cwd=Path(RECIPE).parent,
    )
