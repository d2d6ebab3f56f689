"""Environments, algorithms and influence sources of another package."""

import shlex

import pytest
import torch

from helpers import TINY
from ilvf import plugins
from ilvf.algorithms.options import config_of, name_of
from ilvf.commands.experiment import Experiment
from ilvf.commands.train import main
from ilvf.envs import make_env
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from run_helpers import mlflow_client

SMALL = [word for word in TINY if not word.startswith("env.")]

ENTRY_POINTS = """
[ilvf.environments]
rooms = own_package:make

[ilvf.algorithms]
circle = own_package:CircleConfig

[ilvf.influence]
neighbours = own_package:neighbours
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package with entry points, as pip installs it."""
    info = tmp_path / "site" / "own_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path / "site")


def the_run(out):
    """The one run in the store."""
    client = mlflow_client(out)
    experiments = [found.experiment_id for found in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    return run


def config_for(*words, recipe="ilvf_p"):
    return resolve(training_schema(recipe), [*SMALL, *words])


# ---------------------------------------------------------------------- environments
def test_a_reference_is_an_environment():
    config = config_for("env=own_package:make", "env.kwargs.n=6")
    assert (config.env.name, config.env.task) == ("torchrl", "own_package:make")
    assert build(config).loss.actor.arguments["n_agents"] == 6


def test_an_environment_without_states_and_attributes_is_completed(refused):
    with refused("env.task=own_package:stateless does not tell how long an episode is"):
        make_env("torchrl", task="own_package:stateless", num_envs=2)
    env = make_env("torchrl", task="own_package:stateless", num_envs=2, seed=3, horizon=7)
    first = env.reset()
    assert torch.equal(first["agents", "state"], first["agents", "observation"])
    assert (env.n_agents, env.state_dim, env.horizon) == (4, env.observation_dim, 7)
    again = make_env("torchrl", task="own_package:stateless", num_envs=2, seed=3, horizon=7)
    assert torch.equal(again.reset()["agents", "state"], first["agents", "state"])
    env.set_state(env.get_state())
    assert torch.equal(env.reset()["agents", "state"], first["agents", "state"])


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ("own_package:broken", ("cannot be made", "RuntimeError: the fan is stuck")),
        ("own_package:number", ("makes int", "need a TorchRL environment")),
        ("own_package:nothing", ("own_package has no nothing",)),
        ("no_such_package:make", ("there is no module no_such_package", "PYTHONPATH")),
        ("os:system", ("Python's own module os",)),
        ("nonsense", ("is no reference", "package.module:name")),
        ("", ("is no reference",)),
    ],
)
def test_a_wrong_task_ends_in_a_sentence(task, words, refused):
    with refused(*words):
        make_env("torchrl", task=task)


def test_two_tasks_are_refused(refused):
    with refused("different tasks"):
        config_for("env=own_package:make", "env.task=own_package:stateless")


# ---------------------------------------------------------------------- registered names
def test_registered_names_are_known(installed, capsys):
    config = config_for("env=rooms", "algorithm.influence=neighbours")
    assert (config.env.task, config.algorithm.influence) == ("rooms", "neighbours")
    module = build(config)
    assert module.advantage.source.graph.sum() == 4 * 3
    assert config_of("circle").title == "Circle"
    main(["--help"])
    assert "circle" in capsys.readouterr().out


def test_modules_of_the_environment_variable_declare_algorithms(monkeypatch, refused):
    monkeypatch.setenv(plugins.MODULES, "own_package")
    assert config_of("circle").declared == "circle"
    monkeypatch.setenv(plugins.MODULES, "no_such_package")
    with refused("ILVF_PLUGINS", "no module no_such_package"):
        config_of("circles")


# ---------------------------------------------------------------------- algorithms
@pytest.mark.slow
def test_an_algorithm_of_another_package_trains_and_resumes(out, capsys):
    words = [*SMALL, "env=own_package:stateless", "env.horizon=10", f"out={out}"]
    main(["own_package:CircleConfig", *words, "algorithm.reach=0"])
    run = the_run(out)
    assert run.data.params["recipe"] == "circle"
    assert run.data.tags["algorithm"] == "Circle"
    confirmed = "env.task=own_package:stateless"
    main(["circle", "resume=last", confirmed, f"out={out}", "trainer.max_epochs=3"])
    run = the_run(out)
    assert run.data.metrics["frames"] == 120


@pytest.mark.slow
def test_the_printed_command_continues_a_task_of_ones_own(out, capsys):
    config = dict(word.split("=") for word in SMALL) | {"out": out, "env.kwargs.n": 6}
    experiment = Experiment("own_package:make", "ippo", config)
    experiment.run()
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("continue")]
    words = shlex.split(line)
    assert words[-3] == "env.task=own_package:make"
    main([*words[words.index("ippo") : -1], "trainer.max_epochs=3"])
    assert the_run(out).data.metrics["frames"] == 120
    assert experiment.evaluate()["return/team"] < 0
    experiment.resume({"trainer.max_epochs": 4})
    assert the_run(out).data.metrics["frames"] == 160


def test_a_reference_to_something_else_is_no_algorithm(refused):
    for word in ("own_package:not_declared", "own_package:make"):
        with refused("is no config", "@algorithm"):
            name_of(word)


# ---------------------------------------------------------------------- influence
def test_a_reference_is_a_source_of_influence(refused):
    config = config_for("env.n_agents=6", "algorithm.influence=own_package:neighbours")
    assert build(config).advantage.source.graph.sum() == 6 * 3
    with refused("returns int, need an InfluenceSource"):
        build(config_for("algorithm.influence=own_package:number"))
    with refused("cannot be called with env= and actor=", "TypeError"):
        build(config_for("algorithm.influence=own_package:ring"))
    with refused("algorithm.influence='lerned' is not known", "did you mean 'learned'"):
        config_for("algorithm.influence=lerned")


# ---------------------------------------------------------------------- files run no code
def test_a_yaml_file_does_not_choose_what_code_runs(tmp_path, refused):
    task = tmp_path / "task.yaml"
    task.write_text("name: torchrl\ntask: own_package:make\n")
    preset = tmp_path / "preset.yaml"
    preset.write_text("algorithm: {influence: 'own_package:neighbours'}\n")
    with refused("has env.task='own_package:make', which imports code"):
        config_for(f"env={task}")
    with refused("has algorithm.influence=", "which imports code"):
        config_for(f"preset={preset}")
    assert config_for(f"env={task}", "env.task=own_package:make").env.name == "torchrl"
    task.write_text("name: own_package:make\n")
    with refused("no name of a known environment"):
        config_for(f"env={task}")


def test_a_registered_name_in_a_file_is_used(installed, tmp_path):
    task = tmp_path / "task.yaml"
    task.write_text("name: torchrl\ntask: rooms\n")
    assert config_for(f"env={task}").env.task == "rooms"
