"""`MultiChoices` and `MultiCategoricalActor` against one-hot vectors and torch.distributions."""

import pytest
import torch
from tensordict import TensorDict
from torch.distributions import Categorical
from torch.nn import functional as F
from torchrl.data import Binary, MultiCategorical
from torchrl.envs.utils import ExplorationType, set_exploration_type

from choices_helpers import COUNTS, Dials
from ilvf.credit.score.policies import policy_scores
from ilvf.modules import InfluenceCritic, MultiCategoricalActor, MultiChoices, RandomActor
from ilvf.modules.actions import actions_of_spec
from ilvf.modules.agent_nets import joint_action
from ilvf.modules.groups import joined_actions

CPU = torch.device("cpu")
ROWS = 50


@pytest.fixture
def dials():
    return MultiChoices(COUNTS)


@pytest.fixture
def actor(dials):
    torch.manual_seed(0)
    return MultiCategoricalActor(2, 3, dials, hidden=8, gain=1.0)


def step(dials, **entries):
    """Observations and random actions of some steps."""
    torch.manual_seed(1)
    observation = torch.randn(ROWS, 2, 3)
    action = dials.random(observation)
    return TensorDict({"agents": dict(observation=observation, action=action, **entries)}, [ROWS])


# ---------------------------------------------------------------------- MultiChoices
def test_the_vector_is_the_one_hots_side_by_side(dials):
    """Widths are 4 and 2: the most choices of each component."""
    vector = dials.encode(torch.tensor([[[2, 1], [3, 0]]]), torch.zeros(1, 2, 7))
    assert vector.tolist() == [[[0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 1, 0]]]
    assert dials.existing.int().tolist() == [[1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 1, 0]]
    joint = joint_action(torch.tensor([[[2, 1], [3, 0]]]), torch.zeros(1, 2, 7), dials)
    assert torch.equal(joint, vector.flatten(1))


def test_equal_agents_have_the_one_hots_of_each_component():
    dials = MultiChoices([[3, 4]] * 5)
    action = dials.random(torch.zeros(ROWS, 5, 1))
    expected = torch.cat([F.one_hot(action[..., 0], 3), F.one_hot(action[..., 1], 4)], -1)
    assert torch.equal(dials.encode(action, torch.zeros(ROWS, 5, 1)), expected.float())


def test_random_actions_take_every_possible_choice_equally_often(dials):
    mask = torch.ones(6000, 2, 6, dtype=torch.bool)
    mask[:, 0, 1] = False
    torch.manual_seed(0)
    action = dials.random(torch.zeros(6000, 2, 1), mask)
    shares = dials.encode(action, torch.zeros(6000, 2, 1)).mean(0)
    expected = torch.tensor([[1 / 2, 0, 1 / 2, 0, 1 / 2, 1 / 2], [1 / 4] * 4 + [1, 0]])
    assert (shares - expected).abs().max() < 5 * 0.5 / 6000**0.5
    assert RandomActor(dials, masked=True).out_keys == [("agents", "action")]


def test_a_mask_must_leave_every_component_a_choice(dials):
    mask = dials.existing.repeat(3, 1, 1)
    mask[1, 0, 4:] = False  # the second component of agent 0
    mask[2, 1, 4] = False  # the only choice of padding
    assert dials.possible(mask).tolist() == [[True, True], [False, True], [True, False]]


def test_a_spec_gives_the_same_choices_back(dials):
    spec = dials.spec((3, 2), CPU)
    assert actions_of_spec(spec).arguments == dials.arguments
    assert not dials.problem(spec.rand(), "it")
    assert actions_of_spec(Binary(3, (4, 2, 3), dtype=torch.int64)).arguments == {
        "counts": [[2, 2, 2]] * 2
    }


def test_groups_are_joined_with_padding(dials):
    actions = [torch.tensor([[[2, 1]]]), torch.tensor([[[3]]])]
    states = [torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)]
    assert joined_actions(actions, states, dials).tolist() == [[[2, 1], [3, 0]]]


def test_q_depends_on_every_component(dials):
    torch.manual_seed(0)
    critic = InfluenceCritic(2, 3, dials, hidden=8)
    state = torch.randn(1, 2, 3).expand(3, -1, -1)
    action = torch.tensor([[[0, 0], [1, 0]], [[0, 1], [1, 0]], [[0, 0], [2, 0]]])
    torch.manual_seed(1)
    _, q = critic.predict(state, action)
    assert len(q[:, 0].unique()) == len(q[:, 1].unique()) == 3


# ---------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([[0]], "has 0 choices"),
        ([[10**6]], "1 to 100000"),
        ([[2.0]], "whole numbers"),
        ([[True]], "whole numbers"),
        ([2, 3], "whole numbers (N, D)"),
        ([[]], "whole numbers (N, D)"),
        ([[1], [1, 2]], "no table"),
        ("3", "no table"),
        ([[10**30]], "no table"),
    ],
)
def test_wrong_counts_are_refused(counts, words, refused):
    with refused(words):
        MultiChoices(counts)


@pytest.mark.parametrize("wrong", [[[3, 0], [0, 0]], [[0, 0], [0, 1]], [[-1, 0], [0, 0]]])
def test_choices_that_do_not_exist_are_refused(wrong, dials, refused):
    """Also where the index belongs to another agent or to another component."""
    with refused("agent", "0 to"):
        dials.encode(torch.tensor([wrong]), torch.zeros(1, 2, 1))


def test_other_shapes_are_refused(dials, actor, refused):
    for wrong in (torch.zeros(4, 2).long(), torch.zeros(4, 2, 3).long(), torch.zeros(4, 2, 2)):
        with refused("needs indices (4, 2, 2)"):
            dials.encode(wrong, torch.zeros(4, 2, 1))
    with refused("need indices (50, 2, 2)"):
        actor.evaluate(step(dials).set(("agents", "action"), torch.zeros(ROWS, 2).long()))
    with refused("is for MultiChoices, found"):
        MultiCategoricalActor(2, 3, 4)
    with refused("n_agents=3", "of 2 agents"):
        MultiCategoricalActor(3, 3, dials)
    with refused("need int64"):
        actions_of_spec(Binary(3, (4, 2, 3), dtype=torch.bool))
    counts = torch.tensor([[[2, 2]], [[2, 3]]])
    with refused("other choices in some environments"):
        actions_of_spec(MultiCategorical(counts, (2, 1, 2)))


# ---------------------------------------------------------------------- the policy
def components(actor, td):
    """Agent and component → torch's distribution, from the networks' outputs."""
    outputs = actor.outputs(td["agents", "observation"])
    found = {}
    for i, row in enumerate(COUNTS):
        begin = 0
        for d, (count, width) in enumerate(zip(row, (4, 2), strict=True)):
            found[i, d] = Categorical(logits=outputs[:, i, begin : begin + count])
            begin += width
    return found


def test_log_probabilities_and_entropies_are_sums_over_components(dials, actor):
    td = step(dials)
    log_prob, entropy = actor.evaluate(td)
    known = components(actor, td)
    for i in (0, 1):
        chosen = [known[i, d].log_prob(td["agents", "action"][:, i, d]) for d in (0, 1)]
        assert torch.allclose(log_prob[:, i], sum(chosen), atol=1e-6)
        entropies = [known[i, d].entropy() for d in (0, 1)]
        assert torch.allclose(entropy[:, i], sum(entropies), atol=1e-6)


def test_padding_adds_nothing_exactly(dials, actor):
    log_probs = actor.components_of(step(dials))
    assert torch.equal(log_probs[:, 1, 1, 0], torch.zeros(ROWS))


def test_samples_have_the_probabilities_of_the_policy(dials, actor):
    observation = torch.randn(1, 2, 3).expand(8000, -1, -1)
    td = TensorDict({"agents": {"observation": observation}}, [8000])
    torch.manual_seed(0)
    acted = actor(td.clone())
    assert torch.equal(acted["agents", "action_log_prob"], actor.evaluate(acted)[0])
    shares = dials.encode(acted["agents", "action"], observation).mean(0)
    pi = actor.components_of(td[:1]).exp()[0]  # [N, D, W]
    expected = torch.cat([pi[:, 0], pi[:, 1, :2]], -1)
    assert (shares - expected).abs().max() < 5 * 0.5 / 8000**0.5
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        best = actor(td[:1].clone())["agents", "action"]
    assert torch.equal(best, pi.argmax(-1).unsqueeze(0))


def test_forbidden_choices_are_never_taken(dials):
    actor = MultiCategoricalActor(2, 3, dials, hidden=8, masked=True)
    mask = torch.rand(ROWS, 2, 6) < 0.5
    mask[..., [0, 4]] = True
    td = actor(step(dials, action_mask=mask))
    vector = dials.encode(td["agents", "action"], td["agents", "observation"])
    assert not (vector.bool() & ~mask).any()
    assert torch.isfinite(actor.evaluate(td)[1]).all()


def test_without_a_possible_choice_those_that_exist_are_taken(dials):
    """As of a dead agent whose mask is all False."""
    torch.manual_seed(0)
    actor = MultiCategoricalActor(2, 3, dials, hidden=8, masked=True)
    mask = torch.zeros(ROWS, 2, dials.width, dtype=torch.bool)
    td = TensorDict(
        {"agents": {"observation": torch.randn(ROWS, 2, 3), "action_mask": mask}}, [ROWS]
    )
    probability = actor.components_of(td).exp()
    assert torch.equal(probability > 0, dials.exists.expand_as(probability))
    assert torch.isfinite(actor.evaluate(actor(td))[1]).all()


def test_the_same_noise_gives_the_same_action(dials, actor):
    td = step(dials)
    draws = [actor.draw(td, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_an_actor_is_rebuilt_from_its_arguments(dials, actor):
    again = MultiCategoricalActor.rebuild(actor.arguments, actor.state_dict())
    td = step(dials)
    assert torch.equal(again.evaluate(td)[0], actor.evaluate(td)[0])


def test_scores_have_the_inner_products_of_the_gradients(dials, actor):
    """⟨∂ log π / ∂ logits, the same of another step⟩, by automatic differentiation."""
    td = step(dials)
    score = policy_scores(actor, td).score  # [B, N, A − D]
    assert score.shape == (ROWS, 2, 4)
    outputs = actor.outputs(td["agents", "observation"]).detach().requires_grad_()
    log_probs = actor.component_log_probs(outputs)
    chosen = log_probs.gather(-1, td["agents", "action"].unsqueeze(-1)).sum()
    (gradient,) = torch.autograd.grad(chosen, outputs)
    expected = torch.einsum("bnp,cnp->bcn", gradient, gradient)
    assert torch.allclose(torch.einsum("bnp,cnp->bcn", score, score), expected, atol=1e-5)


def test_an_environment_of_dials_fits_the_contract():
    from ilvf.envs import check_env

    for barred in (False, True):
        facts = check_env(Dials(num_envs=3, barred=barred))
        assert facts.actions.arguments == {"counts": COUNTS}
        assert facts.masked is barred
        assert "actions of 2 choices at once" in str(facts)
