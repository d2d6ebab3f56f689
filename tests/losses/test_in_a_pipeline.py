"""The losses in somebody else's pipeline: groups, masks, evaluation, target networks, keys."""

import pytest
import torch
from tensordict.nn import TensorDictSequential
from torch.nn.utils import parameters_to_vector
from torchrl.envs import TransformedEnv

from credit_helpers import A, B, D, N, T, acted_rollout, gae
from ilvf import ILVFAdvantage
from ilvf.credit.estimators import TeamAdvantage
from ilvf.credit.estimators import gae as plain_gae
from ilvf.credit.signals import alive
from ilvf.data.rollout import with_memory
from ilvf.envs import Encircle
from ilvf.losses import ActionValueLoss, MADDPGLoss, PPOLoss, QMIXLoss
from ilvf.modules import (
    CategoricalActor,
    CentralCritic,
    GreedyActor,
    InfluenceCritic,
    JointCritic,
    Mixer,
    StateCritic,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def maddpg(group="agents"):
    actor = CategoricalActor(N, D, A, hidden=8, group=group)
    return MADDPGLoss(actor, JointCritic(N, D, A, hidden=8), gamma=0.9)


def qmix():
    return QMIXLoss(GreedyActor(N, D, A, hidden=8), Mixer("vdn", N, D), gamma=0.9)


def of_group(td, group):
    """A rollout whose agents are called otherwise."""
    td[group] = td.pop("agents")
    td["next", group] = td["next"].pop("agents")
    return td


# ---------------------------------------------------------------------- groups and masks
@pytest.mark.parametrize("group", ["agents", "cars"])
def test_dead_agents_of_any_group_are_not_trained(group):
    td = of_group(acted_rollout(), group)
    td[group, "mask"] = torch.zeros(B, T, N, dtype=torch.bool)
    td["next", group, "mask"] = td[group, "mask"]
    actor = CategoricalActor(N, D, A, hidden=8, group=group)
    critic = StateCritic(N, D, hidden=8)
    values = critic.value_module(group, state_key="observation")
    ILVFAdvantage(gae(), values, torch.eye(N), group=group)(td)
    for loss in (PPOLoss(actor, critic), maddpg(group)):
        loss.set_keys(state=(group, "observation"))
        terms = loss(td.reshape(-1).detach())
        assert not [k for k, v in terms.items() if k.startswith("loss_") and v.abs() > 1e-6]


def test_a_mask_of_the_team_is_that_of_all_agents():
    td = acted_rollout()
    valid = torch.rand(B, T) < 0.5
    for mask in (valid, valid.unsqueeze(-1)):
        td["collector", "mask"] = mask
        living = alive(td, ("collector", "mask"), N)
        assert torch.equal(living, valid[..., None, None].expand(B, T, N, 1))


def test_the_prior_on_few_influences_leaves_the_dead_alone():
    critic = InfluenceCritic(N, D, A, hidden=8)
    loss = PPOLoss(CategoricalActor(N, D, A, hidden=8), critic, sparsity=1.0)
    logits = torch.randn(5, N, N, requires_grad=True)
    living = torch.ones(5, N, 1, dtype=torch.bool)
    living[:, 2] = False
    td = acted_rollout().reshape(-1)[:5]
    loss._attention_terms(td, living, logits)["loss_sparsity"].backward()
    assert logits.grad[:, 0, 1].all()
    assert not logits.grad[:, :, 2].any()
    assert not logits.grad[:, 2].any()


def test_the_team_is_not_paid_for_the_dead():
    """Their rewards count neither in the advantage of one value nor in those of each agent."""
    td = acted_rollout()
    td["agents", "mask"] = torch.rand(B, T, N) < 0.6
    critic = CentralCritic(N, D, hidden=8)
    estimate = TeamAdvantage(
        critic, None, inner=plain_gae(0.9, 0.8), normalize="none", state_key="observation"
    )
    expected = estimate(td.clone())["agents", "advantage"]
    dead = ~td["agents", "mask"].unsqueeze(-1)
    td["next", "agents", "reward"] += 100.0 * dead
    assert torch.equal(estimate(td)["agents", "advantage"], expected)


def test_groups_take_the_names_of_their_critic():
    both = ["cars", "lights"]
    td = acted_rollout()
    agents, after = td["agents"], td["next", "agents"]
    for name in both:
        td[name], td["next", name] = agents.clone(), after.clone()
    critic = InfluenceCritic(2 * N, D, A, hidden=8)
    values = critic.value_module(both, state_key="observation", value_key="v")
    ILVFAdvantage(gae(), values, group=both)(td)
    assert td["lights", "v"].shape == (B, T, N, 1)
    assert td["lights", "advantage"].isfinite().all()


# ---------------------------------------------------------------------- off-policy losses
@pytest.mark.parametrize("make", [maddpg, qmix])
def test_rows_of_any_shape_give_the_same_loss(make):
    loss = make()
    loss.set_keys(state=("agents", "observation"))
    td = acted_rollout()
    loss(td)  # the statistics of the rewards
    loss.eval()
    found = []
    for batch in (td, td.reshape(-1)):
        torch.manual_seed(1)  # of the next actions
        found.append(loss(batch))
    rows, flat = found
    for name in ("target", "error"):
        assert rows[name].item() == pytest.approx(flat[name].item(), abs=1e-6)


@pytest.mark.parametrize("make", [maddpg, qmix])
def test_an_evaluation_changes_no_statistics(make):
    loss = make()
    loss.set_keys(state=("agents", "observation"))
    td = acted_rollout().reshape(-1)
    loss(td)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.eval()(td)
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    loss.train()(td)
    assert any(not torch.equal(v, before[name]) for name, v in loss.state_dict().items())


@pytest.mark.parametrize("make", [maddpg, qmix])
def test_target_networks_follow_when_they_are_told_to(make, refused):
    loss = make()
    for p in loss.actor.parameters():
        p.data += 1
    old = parameters_to_vector(loss.target_actor.parameters())
    new = parameters_to_vector(loss.actor.parameters())
    loss.update_targets(0.25)
    found = parameters_to_vector(loss.target_actor.parameters())
    assert torch.allclose(found, 0.75 * old + 0.25 * new)
    loss.update_targets(1)
    found = parameters_to_vector(loss.target_actor.parameters())
    assert torch.equal(found, new)
    with refused("tau=0", "(0, 1]"):
        loss.update_targets(0)


# ---------------------------------------------------------------------- TorchRL's interface
def losses():
    actor = CategoricalActor(N, D, A, hidden=8)
    critic = InfluenceCritic(N, D, A, hidden=8)
    return [PPOLoss(actor, critic, sparsity=0.1), maddpg(), qmix()]


@pytest.mark.parametrize("k", range(3))
def test_the_out_keys_are_what_a_call_returns(k, refused):
    loss = losses()[k]
    loss.set_keys(state=("agents", "observation"))
    td = acted_rollout()
    if k == 0:
        values = loss.critic.value_module(state_key="observation")
        ILVFAdvantage(gae(), values)(td)
    terms = loss(td.reshape(-1).detach())
    assert set(loss.out_keys) == set(terms.keys())
    with refused("takes"):
        loss.make_value_estimator("gae")


def test_an_action_of_another_name_is_read():
    critic = InfluenceCritic(N, D, A, hidden=8)
    loss = ActionValueLoss(critic, state_key="observation")
    td = acted_rollout()
    td["agents", "value_target"] = torch.randn(B, T, N, 1)
    td["agents", "act"] = td["agents"].pop("action")
    loss.set_keys(action=("agents", "act"))
    assert ("agents", "act") in loss.in_keys
    assert loss(td.reshape(-1))["loss_action_value"] > 0


# ---------------------------------------------------------------------- memory
def test_a_recurrent_critic_in_a_policy_remembers():
    """V of the advantages is V of the loss, which goes through the sequence again."""
    env = Encircle(4, num_envs=3, horizon=5, seed=0)
    sizes = env.observation_dim, env.n_actions
    actor = CategoricalActor(4, *sizes, hidden=8, recurrent="gru")
    critic = StateCritic(4, env.state_dim, hidden=8, recurrent="gru")
    policy = TensorDictSequential(actor, critic.memory_module())
    td = with_memory(env, policy).rollout(12, policy, break_when_any_done=False).detach()
    assert td["critic_hidden"][:, 1].any()
    ILVFAdvantage(gae(), critic.value_module(), torch.ones(4, 4))(td)
    value, _ = critic.predict(
        td["agents", "state"],
        td["agents", "action"],
        hidden=td["critic_hidden"][:, 0],
        done=td["next", "done"].squeeze(-1),
    )
    assert torch.allclose(td["agents", "state_value"], value, atol=1e-5)


def test_a_critic_without_memory_has_none_to_write(refused):
    with refused("has no memory", "recurrent='gru'"):
        StateCritic(N, D, hidden=8).memory_module()


def test_memories_start_in_the_type_of_their_networks():
    env = Encircle(4, num_envs=3, horizon=5, seed=0)
    actor = CategoricalActor(4, env.observation_dim, env.n_actions, recurrent="gru").double()
    primed = TransformedEnv(env, actor.memory.make_tensordict_primer()).reset()
    assert primed[actor.memory.key].dtype == torch.float64
