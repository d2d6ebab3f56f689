"""`ScoreInfluence` in an `ILVFAdvantage`: what it finds, its state, its shapes."""

import math
import warnings

import pytest
import torch
from torchrl.envs.utils import ExplorationType, set_exploration_type

from helpers import torchrl_policy
from ilvf.credit import ScoreInfluence
from ilvf.errors import UsageError
from score_helpers import N, actor_of, advantage_with, ring, ring_rollout


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_one_rollout_shows_the_ring():
    actor = actor_of()
    source = ScoreInfluence(actor)
    td = advantage_with(source)(ring_rollout(actor))
    assert torch.equal((source.p > 0.5).float(), ring())
    assert torch.equal((source.matrix > 0.5).float(), ring())
    assert torch.equal(td["agents", "influence"][3, 7], source.matrix)
    assert source.z[ring().bool()].min() > 4
    found = source.metrics()
    assert torch.isclose(found["influence/links"], torch.tensor(1 / (N - 1)))


def test_double_precision_finds_the_same():
    actor = actor_of()
    td = ring_rollout(actor)
    source = ScoreInfluence(actor)
    advantage_with(source)(td.copy())
    torch.manual_seed(0)
    double = ScoreInfluence(actor_of().double()).double()
    found = td.apply(lambda x: x.double() if x.is_floating_point() else x)
    advantage_with(double)(found)
    assert double.p.dtype == torch.float64
    assert torch.equal((double.p > 0.5).float(), ring().double())


@pytest.mark.parametrize(("prior", "start"), [("own", torch.eye(N)), ("team", torch.ones(N, N))])
def test_without_influence_the_prior_remains(prior, start):
    """Rewards that no action moves: 20 rollouts without a link."""
    actor = actor_of()
    source = ScoreInfluence(actor, prior=prior, residual=False)
    advantage = advantage_with(source)
    assert torch.equal(source.matrix, start)
    for _ in range(20):
        advantage(ring_rollout(actor, effect=0.0))
    assert (source.p > 0.5).sum() == N
    assert (source.matrix - start).abs().mean() < 0.1


def test_without_influence_the_sum_of_the_rest_is_rarely_found():
    """z of the sum over 10 rollouts of 20 agents."""
    actor = actor_of(20)
    source = ScoreInfluence(actor)
    advantage = advantage_with(source)
    for _ in range(10):
        advantage(ring_rollout(actor, steps=10, effect=0.0))
    assert (source.residual > 0.5).float().mean() <= 0.1


def test_many_weak_effects_are_credited_as_a_sum():
    """Every agent's action 0 costs itself 1 and gives 0.3 to each of nine others, noise 3."""
    actor = actor_of(10)
    source = ScoreInfluence(actor)
    advantage = advantage_with(source)
    for _ in range(8):
        td = ring_rollout(actor, rows=64, steps=50, effect=0.0)
        gives = (td["agents", "action"] == 0).float()
        effect = 0.3 * (gives.sum(-1, keepdim=True) - gives) - gives
        noise = 3 * torch.randn_like(effect)
        td["next", "agents", "reward"] = (effect + noise).unsqueeze(-1)
        td = advantage(td)
    towards_giving = source.matrix.sum(-1) * 0.3 - 1.3 * source.matrix.diagonal()
    assert (towards_giving > 0).float().mean() >= 0.8


def test_a_mistake_of_the_critic_is_no_influence():
    """V_1 depends on the action of agent 0, which moves no reward."""
    actor = actor_of()
    source = ScoreInfluence(actor)
    td = ring_rollout(actor, effect=0.0)
    wrong = 3 * (td["agents", "action"][..., 0] == 0).float()
    td["next", "agents", "state_value"][..., 1, 0] = wrong
    advantage_with(source)(td)
    assert source.z[0, 1] < 4


def test_dead_agents_move_nothing_and_are_not_moved():
    actor = actor_of()
    source = ScoreInfluence(actor)
    td = ring_rollout(actor)
    td["agents", "mask"] = torch.ones(64, 20, N, dtype=torch.bool)
    td["agents", "mask"][..., 0] = False
    advantage_with(source)(td)
    off = 1 - torch.eye(N)
    links = (source.p > 0.5) * off
    assert not links[0].any()
    assert not links[:, 0].any()
    assert links.sum() == N - 2


@pytest.mark.parametrize("paid", [0.0, 100.0, math.nan])
def test_what_dead_agents_are_paid_does_not_matter(paid):
    """The windows of a living agent's returns reach into the steps after its death."""
    actor = actor_of()
    td = ring_rollout(actor)
    td["agents", "mask"] = torch.ones(64, 20, N, dtype=torch.bool)
    td["agents", "mask"][:, 10:, 0] = False
    action = (td["agents", "action"][..., -1] == 0).float()
    td["next", "agents", "reward"][:, 10:, 0] = paid + paid * action[:, :10].unsqueeze(-1)
    source = ScoreInfluence(actor)
    advantage_with(source)(td)
    assert source.z[-1, 0] > 3  # while it lives
    td["next", "agents", "reward"][:, 10:, 0] = 0
    unpaid = ScoreInfluence(actor)
    advantage_with(unpaid)(td)
    assert torch.equal(source.z, unpaid.z)


def test_what_dead_agents_observe_does_not_matter():
    actor = actor_of()
    td = ring_rollout(actor)
    td["agents", "mask"] = torch.ones(64, 20, N, dtype=torch.bool)
    td["agents", "mask"][:, 10:, 0] = False
    clean = ScoreInfluence(actor)
    advantage_with(clean)(td.copy())
    td["agents", "observation"][:, 10:, 0] = float("nan")
    found = ScoreInfluence(actor)
    advantage_with(found)(td)
    assert torch.allclose(found.z, clean.z, atol=1e-4)
    assert torch.allclose(found.matrix, clean.matrix, atol=1e-4)


def test_one_unit_leaves_the_prior():
    actor = actor_of()
    source = ScoreInfluence(actor)
    with pytest.warns(UserWarning, match="1 units"):
        advantage_with(source)(ring_rollout(actor, rows=1, steps=8))
    assert torch.equal(source.matrix, torch.eye(N))
    assert source.test_count == 0


@pytest.mark.parametrize("mode", [True, False])
def test_actions_that_are_no_samples_are_announced(mode):
    actor = actor_of()
    td = ring_rollout(actor)
    if mode:
        with set_exploration_type(ExplorationType.DETERMINISTIC):
            td = actor(td).detach()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        advantage_with(ScoreInfluence(actor))(td)
    assert any("do not look like samples" in str(w.message) for w in caught) == mode


@pytest.mark.parametrize("layout", ["time first", "two batch dimensions"])
def test_any_batch_shape_gives_the_same_influence(layout):
    actor = actor_of()
    td = ring_rollout(actor)
    first, second = ScoreInfluence(actor), ScoreInfluence(actor)
    advantage_with(first)(td.copy())
    if layout == "time first":
        other = td.transpose(0, 1).contiguous()
        other.names = ["time", None]
    else:
        other = td.reshape(8, 8, 20)
        other.names = [None, None, "time"]
    advantage_with(second)(other)
    assert torch.allclose(first.matrix, second.matrix, atol=1e-5)
    assert torch.allclose(first.z, second.z, atol=1e-3)


def test_groups_share_one_matrix():
    """Two groups: the influence across them is found."""
    cars, trucks = actor_of(2, group="cars"), actor_of(3, group="trucks")
    td = ring_rollout(cars, group="cars")
    td.update(ring_rollout(trucks, group="trucks").select("trucks"))
    paid = torch.cat([td["cars", "action"] == 0, td["trucks", "action"] == 0], -1).float()
    reward = (paid + paid.roll(1, -1) + torch.randn_like(paid)).unsqueeze(-1)
    td["next", "cars", "reward"] = reward[..., :2, :]
    td["next", "trucks", "reward"] = reward[..., 2:, :]
    td["next", "trucks", "state_value"] = torch.zeros(64, 20, 3, 1)
    source = ScoreInfluence([cars, trucks])
    advantage_with(source, group=["cars", "trucks"])(td)
    assert torch.equal((source.p > 0.5).float(), ring())


@pytest.mark.parametrize("chosen", [(1, 0), (0,), (0, 1, 1)])
def test_actors_that_do_not_fit_the_groups_are_refused(chosen):
    actors = [actor_of(2, group="cars"), actor_of(3, group="trucks")]
    td = ring_rollout(actors[0], group="cars")
    td.update(ring_rollout(actors[1], group="trucks").select("trucks"))
    for name in ("reward", "state_value"):
        td["next", "trucks", name] = torch.zeros(64, 20, 3, 1)
    source = ScoreInfluence([actors[k] for k in chosen], 5)
    with pytest.raises(UsageError, match=r"groups of \[2, 3\]; give one actor for each group"):
        advantage_with(source, group=["cars", "trucks"])(td)


def test_options_of_a_learned_influence_do_not_belong_to_it():
    with pytest.raises(UsageError, match="discretise belongs to a learned influence"):
        advantage_with(ScoreInfluence(actor_of()), discretise=None)


def test_before_a_rollout_nothing_is_reported():
    actor = torchrl_policy(actor_of())
    source = ScoreInfluence(actor)
    assert source.metrics() == source.matrices() == {}
    with pytest.raises(UsageError, match="has not seen a rollout"):
        advantage_with(source).influence_in(ring_rollout(actor_of()))
    with pytest.raises(UsageError, match="whole number"):
        ScoreInfluence(actor, "3")


def test_its_state_continues_bit_by_bit():
    actor = actor_of()
    rollouts = [ring_rollout(actor, rows=8) for _ in range(4)]
    whole = ScoreInfluence(actor)
    saved = ScoreInfluence(actor)
    resumed = ScoreInfluence(actor)
    for td in rollouts:
        advantage_with(whole)(td.copy())
    for td in rollouts[:2]:
        advantage_with(saved)(td.copy())
    resumed.load_state_dict(saved.state_dict())
    assert torch.equal(resumed.matrix, saved.matrix)
    for td in rollouts[2:]:
        advantage_with(resumed)(td.copy())
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_state_of_a_pipeline_has_the_evidence():
    actor = actor_of()
    advantage = advantage_with(ScoreInfluence(actor))
    advantage(ring_rollout(actor))
    assert torch.equal(advantage.state_dict()["source.matrix"], advantage.source.matrix)


def test_a_recomputation_counts_no_evidence():
    actor = actor_of()
    source = ScoreInfluence(actor)
    advantage = advantage_with(source)
    td = advantage(ring_rollout(actor))
    before = source.state_dict()["z_sum"].clone()
    advantage(td, redraw=False)
    assert torch.equal(before, source.z_sum)


def test_units_of_rewards_do_not_matter():
    """Ranks, and moments in units of their noise: float32 holds for rewards of any size."""
    actor = actor_of()
    td = ring_rollout(actor)
    reward = td["next", "agents", "reward"]
    matrices = []
    for scale in (1.0, 2.0**40, 2.0**-40):
        source = ScoreInfluence(actor)
        td["next", "agents", "reward"] = reward * scale
        advantage_with(source)(td.copy())
        matrices.append(source.matrix)
    assert torch.allclose(matrices[0], matrices[1], atol=1e-4)
    assert torch.allclose(matrices[0], matrices[2], atol=1e-4)


def test_few_units_are_announced_once():
    actor = actor_of()
    advantage = advantage_with(ScoreInfluence(actor))
    with pytest.warns(UserWarning, match=r"2 units .* z is at most"):
        advantage(ring_rollout(actor, rows=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        advantage(ring_rollout(actor, rows=1))


def test_another_number_of_agents_is_refused():
    actor = actor_of()
    with pytest.raises(UsageError, match="for 4 agents, the advantage has 5"):
        advantage_with(ScoreInfluence(actor, 4))(ring_rollout(actor))
    with pytest.raises(UsageError, match="prior"):
        ScoreInfluence(actor, prior="none")
