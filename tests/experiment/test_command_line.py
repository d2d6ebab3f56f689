"""The command line: what it resolves to, and how it refuses mistakes."""

import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from helpers import ROOT
from ilvf.algorithms.options import ALGORITHMS
from ilvf.envs.options import ENVIRONMENTS
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import overlay_of, overlays, resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import flatten

TABLE_1 = {
    "epochs": 15,
    "minibatches": 1,
    "clip": 0.2,
    "entropy": 0.01,
    "gamma": 0.99,
    "lmbda": 0.95,
    "huber_delta": 10.0,
    "hidden": 64,
    "gain": 0.01,
    "value_norm": True,
    "adam_eps": 1e-5,
    "max_grad_norm": 10.0,
    "value": 1.0,
    "eval_episodes": 32,
    "value_clip": 0.2,
}


def resolved(*arguments, algorithm="ilvf_p"):
    return resolve(training_schema(algorithm), arguments)


def plain(config):
    return OmegaConf.to_container(config)


def test_defaults_are_the_practical_setting():
    config = resolved()
    assert plain(config.env) == {
        "name": "encircle",
        "n_agents": 20,
        "n_obstacles": 0,
        "angle": "signed",
        "continuous": False,
        "horizon": 50,
    }
    a = config.algorithm
    assert (a.num_envs, a.rollout_steps, a.epochs, a.minibatches, a.lr) == (64, 50, 5, 4, 1e-3)
    frames = a.num_envs * a.rollout_steps * config.trainer.max_epochs
    assert 98_000 < frames < 102_000


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_runs_about_100_k_frames_by_default(name):
    config = resolved(algorithm=name)
    a = config.algorithm
    assert 98_000 < a.num_envs * a.rollout_steps * config.trainer.max_epochs < 102_000


def test_values_have_the_types_of_their_options():
    config = resolved(
        "env.n_agents=10",
        "algorithm.tau=2",
        "trainer.max_epochs=50",
        "algorithm.value_clip=null",
        "seed=3",
        "algorithm.noise=true",
    )
    assert config.env.n_agents == 10
    assert isinstance(config.algorithm.tau, float)
    assert config.algorithm.tau == 2.0
    assert config.algorithm.value_clip is None
    assert config.algorithm.noise is True
    assert (config.trainer.max_epochs, config.seed) == (50, 3)


@pytest.mark.parametrize("text", ["2024", "1_1_1", "007", "1.10", "12:30", "true", "a,b", "[x]"])
def test_words_and_paths_are_taken_as_typed(text):
    assert resolved(f"out={text}").out == text


def test_the_papers_preset_is_table_1():
    config = resolved("preset=paper", "algorithm.lr=1e-4")
    assert {key: config.algorithm[key] for key in TABLE_1} == TABLE_1
    assert config.env.n_obstacles == 3
    assert config.algorithm.lr == 1e-4  # the command line wins over the preset
    assert resolved("preset=paper").algorithm.lr == 8e-5


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_preset_sets_the_keys_that_an_algorithm_has(name):
    config = resolved("preset=paper", algorithm=name)
    assert config.algorithm.lr == 8e-5
    assert config.env.n_obstacles == 3
    assert ("epochs" in config.algorithm) == (config.algorithm.get("epochs") == 15)


def test_every_key_of_a_preset_belongs_to_some_algorithm():
    """A misspelt key in a preset would be ignored."""
    known = set()
    for name in ALGORITHMS:
        schema = training_schema(name)
        for env in ENVIRONMENTS:
            known |= set(schema.leaves(env))
    for preset in overlays("preset"):
        unknown = set(flatten(overlay_of("preset", preset))) - known
        assert not unknown, preset


def test_an_overlay_is_an_environment_with_other_defaults():
    config = resolved("env=slow_down", "env.n_agents=5")
    assert (config.env.name, config.env.scenario, config.env.n_agents) == ("cacc", "slow-down", 5)


def test_a_preset_can_be_a_file(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("algorithm: {tau: 0.5}\nenv: {n_agents: 6}\n")
    config = resolved(f"preset={mine}")
    assert (config.algorithm.tau, config.env.n_agents) == (0.5, 6)


@pytest.mark.parametrize("line", ["seeds: 0-2", "resume: last", "preset: paper"])
def test_keys_of_the_command_line_alone_are_in_no_preset(line, tmp_path, refused):
    """Each of the runs that `seeds` starts would read the preset, and start runs again."""
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"algorithm: {{tau: 0.5}}\n{line}\n")
    with refused("mine.yaml has", line.split(":")[0], "which no preset can set"):
        resolved(f"preset={mine}")


def test_what_cfg_prints_is_a_preset(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command_line(training_schema("ilvf_p"), ["algorithm.tau=0.5", "--cfg"])
    mine = tmp_path / "mine.yaml"
    mine.write_text(capsys.readouterr().out)
    assert resolved(f"preset={mine}").algorithm.tau == 0.5


def test_a_later_argument_wins():
    assert resolved("seed=1", "seed=2").seed == 2


def test_arguments_of_a_foreign_environment_are_open():
    config = resolved(
        "env=pettingzoo",
        "env.kwargs.N=5",
        "env.kwargs.local_ratio=0.2",
        "env.kwargs.inner.x=[1, 2]",
    )
    expected = {"N": 5, "local_ratio": 0.2, "inner": {"x": [1, 2]}}
    assert plain(config.env.kwargs) == expected
    config = resolved("env=pettingzoo", "env.kwargs={N: 5}")
    assert plain(config.env.kwargs) == {"N": 5}


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("algorithm.taw=1", ("algorithm.taw", "did you mean 'algorithm.tau'")),
        ("lr=1", ("'lr'", "did you mean 'algorithm.lr'")),
        ("env.nagents=4", ("env.nagents", "env.n_agents")),
        ("algorithm.lr=fast", ("algorithm.lr=fast", "a number")),
        ("algorithm.lr=-1", ("algorithm.lr=-1", "positive")),
        ("algorithm.lr=nan", ("algorithm.lr=nan", "finite")),
        ("algorithm.lr=1e999", ("algorithm.lr=inf", "finite")),
        ("algorithm.gamma=1.5", ("algorithm.gamma=1.5", "[0, 1]")),
        ("algorithm.threshold=0", ("algorithm.threshold=0", "(0, 1]")),
        ("algorithm.num_envs=0", ("algorithm.num_envs=0", "at least 1")),
        ("algorithm.minibatches=9999999", ("minibatches=9999999", "3200 frames")),
        ("algorithm.lr_end=1", ("lr_end=1", "lr=0.001")),
        ("env.n_agents=4.5", ("env.n_agents=4.5", "whole number")),
        ("algorithm.share=3", ("algorithm.share=3", "true or false")),
        ("algorithm.epochs=true", ("algorithm.epochs=true", "whole number")),
        ("algorithm.discretise=hard", ("algorithm.discretise='hard'", "bernoulli")),
        ("algorithm.influence=one", ("algorithm.influence='one'", "did you mean 'ones'")),
        ("env=encirle", ("env=encirle", "did you mean 'encircle'")),
        ("preset=papr", ("preset=papr", "did you mean 'paper'")),
        ("preset=../env/slow_down", ("preset=../env/slow_down", "paper")),
        ("preset=nowhere.yaml", ("preset=nowhere.yaml", "not known")),
        ("tau", ("'tau'", "key=value")),
        ("=3", ("'=3'", "key=value")),
        ("--tau=1", ("--tau=1", "--help")),
        ("algorithm.lr=null", ("algorithm.lr=null", "a number")),
        ("seed=-1", ("seed=-1", "[0, 4294967296)")),
        ("trainer.precision=16", ("trainer.precision='16'", "bf16-mixed")),
        ("trainer.max_epochs=0", ("trainer.max_epochs=0", "at least 1")),
        ("resume=nowhere.ckpt", ("nowhere.ckpt", "does not exist")),
    ],
)
def test_a_mistake_is_one_sentence(argument, words, refused):
    with refused(*words):
        command_line(training_schema("ilvf_p"), [argument])


def test_yaml_that_cannot_be_read_is_refused(refused):
    with refused("env.kwargs=[1", "cannot be read"):
        resolved("env=pettingzoo", "env.kwargs=[1")
    with refused("env.kwargs", "mapping"):
        resolved("env=pettingzoo", "env.kwargs=3")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_help_lists_every_key_with_its_meaning(name, capsys):
    schema = training_schema(name)
    with pytest.raises(SystemExit) as stop:
        command_line(schema, ["--help"])
    assert stop.value.code == 0
    page = capsys.readouterr().out
    lines = {line.split("=")[0].strip(): line for line in page.splitlines() if "=" in line}
    for key in schema.leaves("encircle"):
        meaning = lines[key].partition("  ")[2].partition("  ")[2]
        assert len(meaning.strip()) >= 4, key
    assert ALGORITHMS[name].__doc__ in page


def test_help_shows_the_keys_of_the_chosen_environment(capsys):
    with pytest.raises(SystemExit):
        command_line(training_schema("mappo"), ["env=cacc", "--help"])
    page = capsys.readouterr().out
    assert "env.collision_rule=reference" in page
    assert "env.angle" not in page


def test_help_of_an_unknown_environment_is_refused(refused):
    with refused("env=bogus", "encircle"):
        command_line(training_schema("ilvf_p"), ["--help", "env=bogus"])


def test_cfg_prints_what_would_run(capsys):
    with pytest.raises(SystemExit):
        command_line(training_schema("ilvf_p"), ["--cfg", "algorithm.tau=0.25"])
    assert "tau: 0.25" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command", [["recipes/ilvf_p.py"], ["-m", "ilvf", "train", "ilvf_p"], ["-m", "ilvf", "audit"]]
)
def test_help_does_not_import_torch(command):
    code = (
        "import runpy, sys\n"
        "words = {words!r}\n"
        "sys.argv = [words[-1] if words[0] == '-m' else words[0], *words[2:], '--help']\n"
        "run = runpy.run_module if words[0] == '-m' else runpy.run_path\n"
        "try: run(words[1] if words[0] == '-m' else words[0], run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", code.format(words=command)],
        check=True,
        capture_output=True,
        cwd=ROOT,
    )


# ---------------------------------------------------------------------- renamed keys
def test_a_renamed_key_is_understood_and_the_new_one_named(capsys):
    config = resolved("algorithm.normalise=false", algorithm="qmix")
    assert config.algorithm.normalize_values is False
    assert "algorithm.normalise=false is now algorithm.normalize_values=false" in (
        capsys.readouterr().err
    )


def test_a_renamed_value_is_understood(capsys):
    assert resolved("algorithm.noise=auto").algorithm.noise is None
    assert "algorithm.noise=null" in capsys.readouterr().err
