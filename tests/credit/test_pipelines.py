"""`ILVFAdvantage` in other people's pipelines: TorchRL's estimators, losses, collectors, buffers, groups and shapes."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.modules import GRUModule, ProbabilisticActor, TanhNormal, set_recurrent_mode
from torchrl.objectives import A2CLoss, ClipPPOLoss
from torchrl.objectives.multiagent import IPPOLoss, MAPPOLoss
from torchrl.objectives.value import (
    GAE,
    MultiAgentGAE,
    TD0Estimator,
    TD1Estimator,
    TDLambdaEstimator,
    VTrace,
)

from ilvf.credit import Bernoulli, ILVFAdvantage, Soft, Threshold, standardise
from ilvf.credit.functional import force_diagonal, local_advantage
from ilvf.envs import Encircle
from ilvf.losses import ActionValueLoss
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic
from ilvf.modules.attention import gumbel_sigmoid

N, D, A, B, T = 3, 4, 5, 6, 8
GAMMA = dict(gamma=0.9)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def rollout(*batch, n=N, group="agents", dtype=torch.float32, time=-1):
    """Per-agent rewards, observations and actions, team-level dones; time is named."""
    batch = batch or (B, T)
    done = torch.rand(*batch, 1) < 0.15
    names = [None] * len(batch)
    names[time] = "time"
    now = {
        "observation": torch.randn(*batch, n, D, dtype=dtype),
        "action": torch.randint(A, (*batch, n)),
    }
    now["action_log_prob"] = torch.full((*batch, n), -1.6, dtype=dtype)
    following = {
        "observation": torch.randn(*batch, n, D, dtype=dtype),
        "reward": torch.randn(*batch, n, 1, dtype=dtype),
    }
    ends = {"done": done, "terminated": done & (torch.rand(*batch, 1) < 0.5)}
    return TensorDict({group: now, "next": {group: following, **ends}}, batch, names=names)


def with_values(td, n=N, group="agents"):
    for part in (td, td["next"]):
        part[group, "state_value"] = torch.randn(*td.shape, n, 1)
    td[group, "influence_weight"] = torch.rand(*td.shape, n, n)
    return td


def gae(**options):
    return MultiAgentGAE(gamma=0.9, lmbda=0.8, value_network=None, **options)


def own_advantages(td, inner):
    """What `inner` says of every agent when all signals are expanded by hand."""
    td = td.copy()
    for name in ("done", "terminated"):
        td["next", name] = td["next", name].unsqueeze(-2).expand(*td.shape, N, 1)
    td["next", "agents", "reward"] = td["next", "agents", "reward"].expand(*td.shape, N, 1)
    keys = dict(value=("agents", "state_value"), reward=("agents", "reward"))
    if isinstance(inner, VTrace):
        keys["sample_log_prob"] = ("agents", "action_log_prob")
    inner.set_keys(**keys, advantage="a", value_target="g", done="done", terminated="terminated")
    inner(td)
    return td["a"], td["g"]


def policy_of(actor):
    logits = TensorDictModule(
        actor.log_probs, in_keys=[("agents", "observation")], out_keys=[("agents", "logits")]
    )
    return ProbabilisticActor(
        logits,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )


INNERS = {
    "GAE": lambda: GAE(**GAMMA, lmbda=0.8, value_network=None),
    "MultiAgentGAE": gae,
    "TD0": lambda: TD0Estimator(**GAMMA, value_network=None),
    "TD1": lambda: TD1Estimator(**GAMMA, value_network=None),
    "TDLambda": lambda: TDLambdaEstimator(**GAMMA, lmbda=0.8, value_network=None),
    "VTrace": lambda: VTrace(
        **GAMMA,
        value_network=None,
        actor_network=policy_of(CategoricalActor(N, D, A, hidden=8, gain=1.0)),
    ),
}


# ---------------------------------------------------------------------- estimators
@pytest.mark.parametrize("name", INNERS)
def test_every_inner_estimator(name):
    """Ŵ = I gives the inner estimator's own advantages and targets; Ŵ = 1 their sum."""
    td = with_values(rollout())
    torch.manual_seed(1)
    own, target = own_advantages(td, INNERS[name]())
    for graph, expected in (
        (torch.eye(N), own),
        (torch.ones(N, N), own.sum(-2, keepdim=True).expand_as(own)),
    ):
        torch.manual_seed(1)
        out = ILVFAdvantage(INNERS[name](), influence=graph, normalize="none")(td.copy())
        assert torch.allclose(out["agents", "advantage"], expected, atol=1e-5)
        assert torch.allclose(out["agents", "value_target"], target, atol=1e-5)


@pytest.mark.parametrize("name", INNERS)
def test_a_reward_of_the_whole_team(name):
    td = with_values(rollout())
    td["next", "agents", "reward"] = torch.randn(B, T, 1)
    alone = td.copy()
    alone["next", "agents", "reward"] = alone["next", "agents", "reward"].unsqueeze(-2)
    torch.manual_seed(1)
    own, _ = own_advantages(alone, INNERS[name]())
    torch.manual_seed(1)
    out = ILVFAdvantage(INNERS[name](), influence=torch.eye(N), normalize="none")(td)
    assert torch.allclose(out["agents", "advantage"], own, atol=1e-5)
    assert td["next", "agents", "reward"].shape == (B, T, 1)  # the rollout itself keeps its shapes


def test_an_inner_estimator_with_its_own_network():
    """The network is run by `inner` for the values and once more for the weights, which `inner` drops."""
    value = InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")
    td = rollout()
    inside = ILVFAdvantage(GAE(**GAMMA, lmbda=0.8, value_network=value))(td.clone())
    outside = ILVFAdvantage(gae(), value)(td.clone())
    keys = ("advantage", "influence_weight", "influence", "value_target", "state_value")
    for key in keys:
        assert torch.allclose(inside["agents", key], outside["agents", key], atol=1e-5), key
    with torch.no_grad():
        for p in value.parameters():  # the critic learns, and the same rollout is looked at again
            p.add_(0.1 * torch.randn_like(p))
    again = ILVFAdvantage(GAE(**GAMMA, lmbda=0.8, value_network=value))(inside)
    fresh = ILVFAdvantage(gae(), value)(td.clone())
    for key in keys:
        assert torch.allclose(again["agents", key], fresh["agents", key], atol=1e-5), key


def test_a_teams_reward_and_an_estimator_with_its_own_network(refused):
    """MultiAgentGAE finds the number of agents in its values; GAE says that it does not know it."""
    value = InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")
    td = rollout()
    td["next", "agents", "reward"] = torch.randn(B, T, 1)
    td["agents"].batch_size = td["next", "agents"].batch_size = [B, T]
    inside = ILVFAdvantage(MultiAgentGAE(**GAMMA, lmbda=0.8, value_network=value))(td.clone())
    outside = ILVFAdvantage(gae(), value)(td.clone())
    assert torch.allclose(inside["agents", "advantage"], outside["agents", "advantage"], atol=1e-5)
    with refused("number of agents", "MultiAgentGAE", f"({B}, {T}, N, 1)"):
        ILVFAdvantage(GAE(**GAMMA, lmbda=0.8, value_network=value))(td)


def test_a_graph_belongs_to_the_configuration():
    """Loading what was learned elsewhere does not replace it."""
    state = ILVFAdvantage(gae(), influence=torch.eye(N)).state_dict()
    here = ILVFAdvantage(gae(), influence=torch.ones(N, N))
    here.load_state_dict(state)
    assert torch.equal(here.source.graph, torch.ones(N, N))


def test_weights_from_any_module():
    """Whatever writes the weight key serves: here, credit goes to whoever is near in the observation."""

    def near(observation):
        return torch.exp(-torch.cdist(observation, observation))

    weigh = TensorDictModule(
        near, in_keys=[("agents", "observation")], out_keys=[("agents", "influence_weight")]
    )
    value = StateCritic(N, D, hidden=8).value_module(state_key="observation")
    out = TensorDictSequential(weigh, ILVFAdvantage(gae(), value, discretise=Soft()))(rollout())
    assert torch.allclose(out["agents", "influence"], near(out["agents", "observation"]), atol=1e-6)


# ---------------------------------------------------------------------- losses
@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("kind", [MAPPOLoss, IPPOLoss, ClipPPOLoss, A2CLoss])
@pytest.mark.parametrize("how", ["instance", "class", "wrapped"])
def test_torchrls_own_losses(kind, functional, how):
    actor, critic = CategoricalActor(N, D, A, hidden=8), InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(state_key="observation")
    loss = kind(policy_of(actor), value, functional=functional)
    keys = {k: ("agents", k) for k in ("advantage", "value_target", "reward")}
    keys |= dict(value=("agents", "state_value"), done="done", terminated="terminated")
    if how == "instance":
        loss.make_value_estimator(ILVFAdvantage(gae(), value))
    elif how == "class":
        loss.make_value_estimator(ILVFAdvantage, inner=gae(), critic=value)
    else:  # the estimator that the loss has already, wrapped
        loss.make_value_estimator(GAE(**GAMMA, lmbda=0.8, value_network=loss.critic_network))
        loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))
    loss.set_keys(**keys)
    td = rollout()
    expected = ILVFAdvantage(gae(), value)(td.clone())["agents", "advantage"]
    loss.value_estimator(
        td,
        params=getattr(loss, "critic_network_params", None),
        target_params=loss.target_critic_network_params,
    )
    assert torch.allclose(td["agents", "advantage"], expected, atol=1e-5)
    if kind in (
        ClipPPOLoss,
        A2CLoss,
    ):  # these do not know of agents in their normalisation or value loss
        td["agents", "advantage"] = td["agents", "advantage"].contiguous()
    regress = ActionValueLoss(critic, state_key="observation")
    flat = td.reshape(-1).detach()
    terms = {**loss(flat), **regress(flat)}
    sum(v.mean() for k, v in terms.items() if k.startswith("loss_")).backward()
    for head in (actor.net.head, critic.value.head, critic.action_value.head):
        assert head.weight.grad.abs().sum() > 0


def test_every_parameter_of_the_critic_is_in_the_loss():
    """So that one optimiser over `loss.parameters()` trains V, Q and the attention."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    loss = MAPPOLoss(
        policy_of(CategoricalActor(N, D, A, hidden=8)), critic.value_module(state_key="observation")
    )
    mine = {id(p) for p in loss.parameters()}
    assert all(id(p) in mine for p in critic.parameters())


def test_the_action_value_loss(refused):
    """½ Σ_i (Q_i − G_i)² by hand, its direction, and whom it refuses."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    td = rollout().reshape(-1)
    td["agents", "value_target"] = 2 * torch.randn(B * T, N, 1)
    loss = ActionValueLoss(critic, state_key="observation", coeff=3.0)
    torch.manual_seed(5)
    found = loss(td)["loss_action_value"]
    torch.manual_seed(5)
    q = critic.predict(td["agents", "observation"], td["agents", "action"])[1]
    assert torch.allclose(
        found, 3 * 0.5 * (q - td["agents", "value_target"]).square().sum((-1, -2)).mean()
    )
    optimiser = torch.optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        loss(td)["loss_action_value"].backward()
        optimiser.step()
    assert loss(td)["loss_action_value"] < 0.9 * found
    padded = td.clone()
    padded["agents", "mask"] = torch.rand(B * T, N) < 0.7
    padded["agents", "value_target"][~padded["agents", "mask"]] = 1e6  # of dead agents
    torch.manual_seed(5)
    q = critic.predict(td["agents", "observation"], td["agents", "action"])[1]
    torch.manual_seed(5)
    squared = (q - padded["agents", "value_target"]).square().squeeze(-1) * padded["agents", "mask"]
    assert torch.allclose(
        loss(padded)["loss_action_value"], 3 * 0.5 * squared.sum(-1).mean(), rtol=1e-4
    )
    with refused("InfluenceCritic", "StateCritic"):
        ActionValueLoss(StateCritic(N, D))
    with refused("('agents', 'value_target')"):
        loss(td.exclude(("agents", "value_target")))


# ---------------------------------------------------------------------- transforms
def test_as_a_collectors_postproc():
    env, actor = Encircle(4, num_envs=3, horizon=5, seed=0), CategoricalActor(4, 18, 5, hidden=8)
    advantage = ILVFAdvantage(gae(), InfluenceCritic(4, env.state_dim, 5, hidden=8).value_module())
    collector = Collector(env, actor, frames_per_batch=30, total_frames=30, postproc=advantage)
    for td in collector:
        assert td["agents", "advantage"].shape == (3, 10, 4, 1)
        again = advantage(td.exclude(("agents", "advantage"), ("agents", "influence_weight")))
        assert torch.allclose(again["agents", "advantage"], td["agents", "advantage"], atol=1e-5)
    collector.shutdown()


def test_as_a_replay_buffers_transform():
    """Rows of the buffer are whole trajectories, so that what is sampled is `[rows, T]`."""
    value = InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")
    buffer = ReplayBuffer(
        storage=LazyTensorStorage(B), sampler=SamplerWithoutReplacement(), batch_size=4
    )
    buffer.append_transform(ILVFAdvantage(gae(), value))
    buffer.extend(rollout())
    sample = buffer.sample()
    assert sample["agents", "advantage"].shape == (4, T, N, 1)
    expected = ILVFAdvantage(gae(), value)(sample.exclude(("agents", "advantage")))
    assert torch.allclose(sample["agents", "advantage"], expected["agents", "advantage"], atol=1e-5)


# ---------------------------------------------------------------------- groups, masks, shapes
def test_any_group_name():
    td, renamed = with_values(rollout()), None
    renamed = TensorDict(
        {
            "cars": td["agents"],
            "next": {**td["next"].exclude("agents"), "cars": td["next", "agents"]},
        },
        td.shape,
    )
    renamed.names = [None, "time"]
    one, other = ILVFAdvantage(gae())(td), ILVFAdvantage(gae(), group="cars")(renamed)
    for key in ("advantage", "value_target", "influence"):
        assert torch.equal(one["agents", key], other["cars", key])


def test_several_groups_are_one_team():
    """Two groups of 2 and 3 with a joint influence of 5 × 5 equal one group of 5."""
    td = with_values(rollout(n=5), n=5)
    split = TensorDict(
        {
            "next": td["next"].exclude("agents"),
            "influence_weight": td["agents", "influence_weight"],
        },
        td.shape,
    )
    split.names = td.names
    for name, part in (("cars", slice(0, 2)), ("lights", slice(2, 5))):
        for where in ((), ("next",)):
            for key in ("state_value",) + (("reward",) if where else ()):
                split[(*where, name, key)] = td[(*where, "agents", key)][..., part, :]
    whole = ILVFAdvantage(gae())(td)
    parts = ILVFAdvantage(gae(), group=("cars", "lights"))(split)
    for key in ("advantage", "value_target", "individual_advantage"):
        both = torch.cat([parts["cars", key], parts["lights", key]], -2)
        assert torch.allclose(both, whole["agents", key], atol=1e-6), key
    assert torch.equal(parts["influence"], whole["agents", "influence"])


def test_dead_agents():
    """They give no credit, get none, and do not move the others' moments."""
    td = with_values(rollout())
    mask = torch.ones(B, T, N, dtype=torch.bool)
    mask[2:, 3:, 1] = False
    td["agents", "mask"] = mask
    td["next", "agents", "reward"][~mask] = 1e6  # padding that would be seen
    out = ILVFAdvantage(gae(), influence=torch.ones(N, N), normalize="none")(td.copy())
    own = out["agents", "individual_advantage"].where(mask.unsqueeze(-1), 0)
    expected = own.sum(-2, keepdim=True).expand_as(own).where(mask.unsqueeze(-1), 0)
    assert torch.allclose(out["agents", "advantage"], expected)
    for kind in ("agent", "global"):
        out = ILVFAdvantage(gae(), influence=torch.eye(N), normalize=kind)(td.copy())
        alive = (
            out["agents", "advantage"][mask]
            if kind == "global"
            else out["agents", "advantage"][..., 1, :][mask[..., 1]]
        )
        assert alive.mean().abs() < 1e-5
        assert alive.std(correction=0) == pytest.approx(1.0, abs=1e-4)
        assert not out["agents", "advantage"][~mask].any()


def test_a_full_mask_changes_nothing():
    td = with_values(rollout())
    plain = ILVFAdvantage(gae())(td.copy())["agents", "advantage"]
    td["agents", "mask"] = torch.ones(B, T, N, 1, dtype=torch.bool)
    assert torch.allclose(ILVFAdvantage(gae())(td)["agents", "advantage"], plain, atol=1e-6)


@pytest.mark.parametrize("shifted", [False, True])
def test_any_batch_and_time_dimensions(shifted):
    """[2, 3, T], one [T], and time first are the rows of [6, T]."""
    value = InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")
    estimator = ILVFAdvantage(gae(), value, normalize="none", shifted=shifted)
    td = rollout()
    expected = estimator(td.clone())["agents", "advantage"]
    deep = estimator(td.clone().reshape(2, 3, T))["agents", "advantage"]
    assert torch.allclose(deep.reshape(B, T, N, 1), expected, atol=1e-6)
    one = td[4].clone()
    assert one.names == ["time"]
    assert torch.allclose(estimator(one)["agents", "advantage"], expected[4], atol=1e-6)
    unnamed = td[4].clone()
    unnamed.names = None
    assert torch.allclose(
        estimator(unnamed, time_dim=0)["agents", "advantage"], expected[4], atol=1e-6
    )
    first = td.clone().transpose(0, 1).contiguous()  # carries the name with it
    assert torch.allclose(
        estimator(first)["agents", "advantage"].transpose(0, 1), expected, atol=1e-6
    )
    first.names = None
    found = estimator(first.select(*td.keys()), time_dim=0)["agents", "advantage"]
    assert torch.allclose(found.transpose(0, 1), expected, atol=1e-6)


def test_double_precision():
    td = rollout(dtype=torch.float64)
    critic = InfluenceCritic(N, D, A, hidden=8).double()
    for part in (Threshold(), Bernoulli(), Soft()):
        out = ILVFAdvantage(gae(), critic.value_module(state_key="observation"), discretise=part)(
            td.clone()
        )
        assert out["agents", "advantage"].dtype == torch.float64
        assert out["agents", "influence"].dtype == torch.float64
    assert (
        ActionValueLoss(critic, state_key="observation")(out)["loss_action_value"].dtype
        == torch.float64
    )


# ---------------------------------------------------------------------- draws
def test_one_draw_per_call_per_epoch_or_per_rollout():
    td = with_values(rollout())
    every = ILVFAdvantage(gae(), discretise=Bernoulli())
    first = every(td.copy())["agents", "influence"]
    assert not torch.equal(every(td.copy())["agents", "influence"], first)
    done = every(td.copy())
    once, own = done["agents", "influence"], done["agents", "individual_advantage"]
    done["agents", "state_value"] = done["agents", "state_value"] + 1  # the critic has learned
    every(done, redraw=False)
    assert torch.equal(done["agents", "influence"], once)
    assert not torch.equal(done["agents", "individual_advantage"], own)
    flat = done.reshape(-1)
    before = flat["agents", "advantage"].clone()
    every.mix(flat)  # an epoch's own draw, from a flat batch
    assert not torch.equal(flat["agents", "influence"].reshape(once.shape), once)
    expected = standardise(
        local_advantage(flat["agents", "influence"], flat["agents", "individual_advantage"])
    )
    assert torch.allclose(flat["agents", "advantage"], expected)
    assert not torch.allclose(flat["agents", "advantage"], before)


def test_its_own_generator_leaves_the_global_one_alone():
    td = with_values(rollout())
    draws = []
    for seed in (3, 3, 4):
        before = torch.get_rng_state()
        estimator = ILVFAdvantage(
            gae(), discretise=Bernoulli(), generator=torch.Generator().manual_seed(seed)
        )
        draws.append(estimator(td.copy())["agents", "influence"])
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


# ---------------------------------------------------------------------- compile, vmap
@pytest.mark.parametrize(
    "part", [Threshold(), Bernoulli(), Soft()], ids=["threshold", "bernoulli", "soft"]
)
def test_the_whole_of_credit_compiles(part):
    def credit(weight, own):
        return standardise(local_advantage(force_diagonal(part(weight, None)), own))

    weight, own = torch.rand(B, N, N), torch.randn(B, N, 1)
    compiled = torch.compile(credit, fullgraph=True, backend="aot_eager")
    torch.manual_seed(2)
    found = compiled(weight, own)
    assert found.shape == (B, N, 1)
    if not isinstance(
        part, Bernoulli
    ):  # whose random numbers a compiled graph draws in its own order
        assert torch.allclose(found, credit(weight, own), atol=1e-6)


def test_sampling_under_vmap():
    """Different noise for every row; the share of ones is the weight."""
    weight = torch.full((4000, N, N), 0.3)
    draw = torch.vmap(lambda w: Bernoulli(noise=False)(w), randomness="different")(weight)
    assert draw.mean() == pytest.approx(0.3, abs=0.02)
    assert not torch.equal(draw[0], draw[1]) or not torch.equal(draw[0], draw[2])
    noisy = torch.vmap(lambda h: gumbel_sigmoid(h, 1.0), randomness="different")(
        torch.zeros(50, N, N)
    )
    assert noisy.flatten(1).std(0).min() > 0
    critic = InfluenceCritic(N, D, A, hidden=8)
    state, action = torch.randn(5, B, N, D), torch.randint(A, (5, B, N))
    q = torch.vmap(lambda s, a: critic.predict(s, a)[1], randomness="different")(state, action)
    assert q.shape == (5, B, N, 1)


# ---------------------------------------------------------------------- actors of other kinds
def test_continuous_actions():
    """TorchRL's MAPPOLoss on a TanhNormal policy, with Q on the continuous joint action."""
    net = TensorDictModule(
        nn.Sequential(nn.Linear(D, 4), nn.Softplus(), nn.Unflatten(-1, (2, 2)), _Split()),
        in_keys=[("agents", "observation")],
        out_keys=[("agents", "loc"), ("agents", "scale")],
    )
    actor = ProbabilisticActor(
        net,
        in_keys=[("agents", "loc"), ("agents", "scale")],
        out_keys=[("agents", "action")],
        distribution_class=TanhNormal,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    critic = InfluenceCritic(N, D, 2, hidden=8)
    value = critic.value_module(state_key="observation")
    td = rollout().exclude(("agents", "action"), ("agents", "action_log_prob"))
    actor(td)
    td = ILVFAdvantage(gae(), value)(td.detach())
    loss = MAPPOLoss(actor, value)
    loss.set_keys(
        advantage=("agents", "advantage"),
        value_target=("agents", "value_target"),
        value=("agents", "state_value"),
    )
    flat = td.reshape(-1)
    terms = {**loss(flat), **ActionValueLoss(critic, state_key="observation")(flat)}
    sum(v.mean() for k, v in terms.items() if k.startswith("loss_")).backward()
    assert net.module[0].weight.grad.abs().sum() > 0
    assert critic.action_value.head.weight.grad.abs().sum() > 0


class _Split(nn.Module):
    def forward(self, x):
        return x[..., 0, :], x[..., 1, :] + 0.1


def test_a_recurrent_actor():
    """A GRU over the joint observation, trained by MAPPOLoss on whole trajectories: the estimator does not mind."""
    gru = GRUModule(
        input_size=N * D,
        hidden_size=8,
        in_keys=["joint", "hidden", "is_init"],
        out_keys=["f", ("next", "hidden")],
    )
    head = nn.Sequential(nn.Linear(8, N * A), nn.Unflatten(-1, (N, A)))
    net = TensorDictSequential(
        gru, TensorDictModule(head, in_keys=["f"], out_keys=[("agents", "logits")])
    )
    actor = ProbabilisticActor(
        net,
        in_keys=[("agents", "logits")],
        out_keys=[("agents", "action")],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        log_prob_key=("agents", "action_log_prob"),
    )
    value = InfluenceCritic(N, D, A, hidden=8).value_module(state_key="observation")
    td = rollout()
    for part in (td, td["next"]):
        part["joint"] = part["agents", "observation"].flatten(-2)
        part["is_init"], part["hidden"] = (
            torch.zeros(B, T, 1, dtype=torch.bool),
            torch.zeros(B, T, 1, 8),
        )
    td = ILVFAdvantage(gae(), value)(td)
    loss = MAPPOLoss(actor, value)
    loss.set_keys(
        advantage=("agents", "advantage"),
        value_target=("agents", "value_target"),
        value=("agents", "state_value"),
    )
    with set_recurrent_mode(True):
        terms = loss(td)
    terms["loss_objective"].backward()
    assert gru.gru.weight_ih_l0.grad.abs().sum() > 0


def test_a_recurrent_critic_belongs_to_inner(refused):
    """As `critic` it is refused; inside `MultiAgentGAE(shifted=True)` it works."""
    gru = GRUModule(
        input_size=D,
        hidden_size=8,
        in_keys=["observation", "hidden", "is_init"],
        out_keys=["f", ("next", "hidden")],
    )
    head = TensorDictModule(
        nn.Sequential(nn.Linear(8, N), nn.Unflatten(-1, (N, 1))),
        in_keys=["f"],
        out_keys=[("agents", "state_value")],
    )
    critic = TensorDictSequential(gru, head)
    with refused("recurrent", "shifted=True"):
        ILVFAdvantage(gae(), critic)
    td = rollout()
    for part in (td, td["next"]):
        part["observation"] = part["agents", "observation"].mean(-2)
        part["is_init"], part["hidden"] = (
            torch.zeros(B, T, 1, dtype=torch.bool),
            torch.zeros(B, T, 1, 8),
        )
    with set_recurrent_mode(True):
        inner = MultiAgentGAE(**GAMMA, lmbda=0.8, value_network=critic, shifted=True)
        out = ILVFAdvantage(inner, influence=torch.eye(N), normalize="none")(td)
    assert out["agents", "advantage"].shape == (B, T, N, 1)
    assert torch.isfinite(out["agents", "advantage"]).all()


# ---------------------------------------------------------------------- mistakes
def test_mistakes_name_the_key_and_both_shapes(refused):
    td, estimator = with_values(rollout()), ILVFAdvantage(gae())
    with refused("one dimension", "flattened", "time"):
        estimator(td.reshape(-1))
    with refused("time_dim=2", f"({B}, {T})"):
        estimator(td, time_dim=2)
    with refused("time_dim=0", "time_dim=1", "one of them"):
        ILVFAdvantage(gae(time_dim=1))(td, time_dim=0)
    team = td.copy()
    team["agents", "state_value"] = torch.randn(B, T, 1)
    with refused("('agents', 'state_value')", f"({B}, {T}, 1)", f"({B}, {T}, N, 1)"):
        estimator(team)
    bare = td.copy()
    bare["next", "agents", "reward"] = torch.randn(B, T, N)
    with refused(
        "('next', 'agents', 'reward')", f"({B}, {T}, {N})", f"({B}, {T}, {N}, 1)", f"({B}, {T}, 1)"
    ):
        estimator(bare)
    with refused("influence_weight", "needed"):
        estimator(td.exclude(("agents", "influence_weight")))
    wrong = td.copy()
    wrong["agents", "mask"] = torch.ones(B, T, 2, dtype=torch.bool)
    with refused("('agents', 'mask')", f"({B}, {T}, 2)", f"({B}, {T}, {N})"):
        estimator(wrong)
    with refused("inner", "value estimator", "0.5"):
        ILVFAdvantage(0.5)
    with refused("not finite"):
        ILVFAdvantage(gae(), influence=torch.full((2, 2), float("nan")))
    with refused("InfluenceCritic", "value_module()"):
        ILVFAdvantage(gae(), InfluenceCritic(N, D, A))
    value = InfluenceCritic(N, D + 1, A, hidden=8).value_module(state_key="observation")
    with refused(f"{N} agents", f"states of {D + 1}", f"({B}, {T}, {N}, {D})"):
        ILVFAdvantage(gae(), value)(td)
    with refused("('agents', 'state')", "state_key='observation'"):
        ILVFAdvantage(gae(), InfluenceCritic(N, D, A).value_module())(rollout())
    for weight in (5.0, -0.1, float("nan")):
        logits = td.copy()
        logits["agents", "influence_weight"] = torch.full((B, T, N, N), weight)
        with refused("influence_weight", "[0, 1]", "logits"):
            estimator(logits)
    with refused("redraw=True", "('agents', 'influence')"):
        estimator(td.exclude(("agents", "influence")), redraw=False)
    with refused("tensor", "list"):
        ILVFAdvantage(gae(), influence=[[1.0]])
    with refused("group", "empty"):
        ILVFAdvantage(gae(), group=())
    for bad in ("threshold", Bernoulli):
        with refused("discretise", "Bernoulli()"):
            ILVFAdvantage(gae(), discretise=bad)
    bare = rollout().exclude(("next", "agents", "observation"))
    with refused("('next', 'agents', 'observation')"):
        ILVFAdvantage(gae(), InfluenceCritic(N, D, A).value_module(state_key="observation"))(bare)
    root = td.rename_key_(("next", "agents", "reward"), ("next", "agents", "r"))
    with refused("('next', 'agents', 'reward')", "loss.set_keys"):
        estimator(root)


def test_keys_that_the_wrapped_estimator_has_are_taken_over():
    """A loss that was given its keys first can be wrapped afterwards; a critic's own value key is found."""
    critic = InfluenceCritic(N, D, A, hidden=8)
    value = critic.value_module(value_key="v", state_key="observation")
    loss = MAPPOLoss(policy_of(CategoricalActor(N, D, A, hidden=8)), value)
    keys = {"reward": ("agents", "reward"), "value": ("agents", "v"), "advantage": ("agents", "a")}
    loss.set_keys(**keys, value_target=("agents", "g"))
    loss.make_value_estimator(GAE(**GAMMA, lmbda=0.8, value_network=loss.critic_network))
    loss.set_keys(**keys, value_target=("agents", "g"))
    loss.make_value_estimator(ILVFAdvantage(loss.value_estimator))
    td = rollout()
    loss.value_estimator(
        td, params=loss.critic_network_params, target_params=loss.target_critic_network_params
    )
    plain = ILVFAdvantage(gae(), value)(rollout_like(td))
    assert torch.allclose(td["agents", "a"], plain["agents", "advantage"], atol=1e-5)
    assert torch.allclose(td["agents", "g"], plain["agents", "value_target"], atol=1e-5)


def rollout_like(td):
    names = ("observation", "action", "action_log_prob")
    keys = [("agents", k) for k in names] + [
        ("next", "agents", k) for k in ("observation", "reward")
    ]
    return td.select(*keys, ("next", "done"), ("next", "terminated")).clone()
