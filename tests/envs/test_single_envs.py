"""TorchRL environments of one copy, in batches and inside transforms: attributes, states, modes."""

import pytest
import torch
from torchrl.envs import RewardScaling, SerialEnv, TransformedEnv

from helpers import TINY, fit
from ilvf.algorithms import ILVFP
from ilvf.envs import CACC, check_env
from ilvf.envs.own import own_env
from ilvf.envs.wrapped import SavedThrough, saves_states, set_to_evaluate
from ilvf.modules import CategoricalActor, InfluenceCritic
from run_helpers import last_checkpoint
from single_env_helpers import N, Saving, Single, Telling

NAMES = ("plain", "saving", "telling")
OWN = [word for word in TINY if not word.startswith("env.")]


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_single_environments_has_plain_attributes(name):
    """TorchRL's has lists of them."""
    env = own_env(f"single_env_helpers:{name}", {}, 5, num_envs=3, seed=0)
    assert (env.n_agents, env.n_actions, env.observation_dim, env.horizon) == (N, 2, 3, 5)
    assert not hasattr(env, "reward_graph")
    assert not saves_states(env)
    assert str(check_env(env)).startswith(f"ok: {N} agents")


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_on_a_batch_of_single_environments_is_resumed_and_evaluated(name, out, recipe):
    task = ("env=torchrl", f"env.task=single_env_helpers:{name}")
    words = (*OWN, *task, "env.horizon=5", f"out={out}")
    assert recipe("ilvf_p", *words) == 0
    content = last_checkpoint(out)
    assert content["ilvf"]["state"]["ranks"][0]["env"] == {}
    assert not [key for key in content["state_dict"] if key.startswith("env.")]
    assert recipe("ilvf_p", "resume=last", task[1], "trainer.max_epochs=3", f"out={out}") == 0
    assert recipe("evaluate", "checkpoint=last", task[1], "animation=false", f"out={out}") == 0


def test_a_script_trains_on_a_batch_of_single_environments(tmp_path):
    """Its checkpoints are Lightning's own, which ask submodules for their state."""

    def make_env(num_envs, seed, device):
        return SerialEnv(num_envs, Single)

    actor = CategoricalActor(N, 3, 2, hidden=8)
    critic = InfluenceCritic(N, 3, 2, hidden=8)
    sizes = {"num_envs": 2, "rollout_steps": 5, "minibatches": 1, "epochs": 1, "eval_steps": 5}
    module = fit(ILVFP(make_env, actor, critic, eval_episodes=2, **sizes), 1)
    module.trainer.save_checkpoint(tmp_path / "a.ckpt")
    assert module.known_graphs == {}


@pytest.mark.parametrize(("cls", "saves"), [(Single, False), (Telling, False), (Saving, True)])
def test_what_saves_states_is_what_can_be_set_to_them(cls, saves):
    env = cls()
    assert saves_states(env) == saves
    inside = TransformedEnv(env, RewardScaling(0.0, 1.0))
    assert not saves_states(inside)  # TorchRL hands on `get_state` alone
    through = SavedThrough(inside)
    assert saves_states(through) == saves
    if saves:
        through.reset()
        state = through.get_state()
        through.reset()
        through.set_state(state)
        assert torch.equal(env.place, state["place"])


def test_evaluation_reaches_environments_inside_transforms():
    """CACC's penalty of training is no part of its costs."""
    env = CACC(num_envs=2, seed=0)
    set_to_evaluate(SavedThrough(TransformedEnv(env, RewardScaling(0.0, 1.0))))
    assert not env.training
