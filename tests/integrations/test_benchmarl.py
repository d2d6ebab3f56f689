"""ILVF-P and ILVF-S inside BenchMARL's own experiments, on VMAS."""

import functools
import importlib.util

import pytest
import torch
from torchrl.data import Composite, Unbounded
from torchrl.objectives.value import GAE

from ilvf.credit import ILVFAdvantage, LearnedInfluence, ScoreInfluence

pytest.importorskip("vmas")
if importlib.util.find_spec("benchmarl") is None:
    pytest.skip("needs BenchMARL, which `make test` installs", allow_module_level=True)

from ilvf.integrations import benchmarl as integration  # before benchmarl itself

# isort: split
from benchmarl.environments import VmasTask
from benchmarl.experiment import Experiment, ExperimentConfig
from benchmarl.models.mlp import MlpConfig

SUPERVISED = functools.partial(integration.IlvfPConfig, supervision=0.3)
CONFIGS = (integration.IlvfSConfig, integration.IlvfPConfig)
ITERATIONS = 2
FRAMES = 120


def experiment(algorithm, folder, *, continuous=False, **changes):
    """A short experiment on navigation, where each agent has its own reward."""
    config = ExperimentConfig.get_from_yaml()
    config.max_n_iters = ITERATIONS
    config.max_n_frames = None
    config.on_policy_collected_frames_per_batch = FRAMES
    config.on_policy_n_envs_per_worker = 6
    config.on_policy_n_minibatch_iters = 1
    config.on_policy_minibatch_size = FRAMES // 2
    config.evaluation = False
    config.loggers = []
    config.create_json = False
    config.prefer_continuous_actions = continuous
    config.save_folder = str(folder)
    for name, value in changes.items():
        setattr(config, name, value)
    return Experiment(
        task=VmasTask.NAVIGATION.get_from_yaml(),
        algorithm_config=algorithm,
        model_config=MlpConfig.get_from_yaml(),
        critic_model_config=MlpConfig.get_from_yaml(),
        seed=0,
        config=config,
    )


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
@pytest.mark.parametrize("config", [*CONFIGS, SUPERVISED], ids=["S", "P", "supervised"])
def test_an_experiment_trains_policy_and_critic(config, continuous, tmp_path):
    run = experiment(config(), tmp_path, continuous=continuous)
    loss = run.losses["agents"]
    before = {name: value.detach().clone() for name, value in loss.named_parameters()}
    run.run()
    after = dict(loss.named_parameters())
    assert all(not torch.equal(after[name], value) for name, value in before.items())
    assert isinstance(loss.value_estimator, ILVFAdvantage)
    assert isinstance(loss.value_estimator.inner, GAE)


def test_ilvf_s_tests_each_rollout_once(tmp_path):
    run = experiment(integration.IlvfSConfig(), tmp_path)
    source = run.losses["agents"].value_estimator.source
    assert isinstance(source, ScoreInfluence)
    run.run()
    assert source.test_count == pytest.approx(1 + source.options.test_memory**2)


def test_ilvf_p_trains_its_attention(tmp_path):
    run = experiment(integration.IlvfPConfig(tau=0.7), tmp_path)
    critic = run.algorithm.critics["agents"].module
    assert isinstance(run.losses["agents"].value_estimator.source, LearnedInfluence)
    attention = getattr(critic, "critic", critic).attention
    assert attention.tau == 0.7
    before = [p.detach().clone() for p in attention.parameters()]
    run.run()
    changed = [
        not torch.equal(p, old) for p, old in zip(attention.parameters(), before, strict=True)
    ]
    assert all(changed)


def test_an_experiment_continues_from_its_checkpoint(tmp_path):
    """The running sums of the score test are in BenchMARL's checkpoint."""
    run = experiment(integration.IlvfSConfig(), tmp_path, checkpoint_at_end=True)
    run.run()
    found = run.losses["agents"].value_estimator.source
    (file,) = tmp_path.rglob("checkpoint_*.pt")
    again = Experiment.reload_from_file(str(file))
    source = again.losses["agents"].value_estimator.source
    assert torch.equal(source.z_sum, found.z_sum)
    assert torch.equal(source.matrix, found.matrix)


@pytest.mark.parametrize("name", ["share_param_critic", "minibatch_advantage"])
@pytest.mark.parametrize("config", CONFIGS)
def test_options_that_credit_cannot_have_are_refused(config, name, refused):
    with refused(config.__name__, name):
        config(**{name: True})


def test_observations_that_are_no_vector_are_refused(refused):
    image = Composite({"image": Unbounded((3, 8, 8))}, shape=(3,))
    with refused("IlvfP", "'cars'", "image (3, 8, 8)", "IlvfS"):
        integration.observation_of(Composite({"cars": image}), "cars")
