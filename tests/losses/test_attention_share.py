"""`attention_share` of `PPOLoss`: part of the rows teaches the attention, all of them teach V."""

import pytest
import torch

from ilvf.experiment.build import build, saved_form
from ilvf.experiment.config import resolve, saved_values
from ilvf.experiment.options import training_schema
from ilvf.losses import PPOLoss
from ilvf.modules import (
    ActionInfluenceCritic,
    CategoricalActor,
    InfluenceCritic,
    StateCritic,
)
from losses.test_ppo import A, D, N, minibatch

ROWS = 40
CRITICS = {
    "own layers": lambda: InfluenceCritic(N, D, A, hidden=8, initial="random"),
    "shared layers": lambda: InfluenceCritic(N, D, A, hidden=8, shared_first=True),
    "neighbours": lambda: InfluenceCritic(N, D, A, hidden=8, neighbours=NEIGHBOURS),
    "actions": lambda: ActionInfluenceCritic(N, D, A, hidden=8),
}
NEIGHBOURS = torch.tensor([[0, 1], [1, 2], [2, 0]])
SMALL = ("env.n_agents=4", "env.horizon=10", "algorithm.hidden=8")
DEFAULTS = {  # arguments → share of the recipe
    "ilvf_p": 0.25,
    "ilvf_p algorithm.supervision=0.1": 0.25,
    "ilvf_p algorithm.attention_share=0.5": 0.5,
    "ilvf_p algorithm.supervision=0": 1,
    "ilvf_p algorithm.supervision=0 algorithm.attention_share=0.25": 0.25,
    "ilvf_p algorithm.neighbours=2": 1,
    "ilvf_p algorithm.influence=ones": 1,
    "ilvf_p preset=paper": 1,
    "no_inferring": 1,
    "ilvf_s algorithm.critic=influence": 1,
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def losses(critic, *shares, **options):
    """A loss for each share, all of one actor and one critic."""
    actor = CategoricalActor(N, D, A, hidden=8)
    return [PPOLoss(actor, critic, attention_share=share, **options) for share in shares]


def collected(loss, dying=False):
    """A minibatch with the weights of its collection, and evidence."""
    td = minibatch(loss.actor, ROWS)
    with torch.no_grad():
        td["agents", "influence_weight"] = loss.critic(td["agents", "state"])[1]
    td["agents", "link_evidence"] = torch.rand(ROWS, N, N)
    if dying:
        td["agents", "mask"] = torch.rand(ROWS, N) < 0.7
    return td


@pytest.mark.parametrize("dying", [False, True])
@pytest.mark.parametrize("critic", CRITICS)
def test_with_the_weights_of_today_v_learns_as_with_all_rows(critic, dying):
    whole, quarter = losses(CRITICS[critic](), 1.0, 0.25)
    td = collected(whole, dying)
    torch.testing.assert_close(quarter(td)["loss_value"], whole(td)["loss_value"])


@pytest.mark.parametrize("dying", [False, True])
def test_q_and_the_attention_learn_from_the_rows_that_are_drawn(dying):
    critic = CRITICS["own layers"]()
    whole, quarter = losses(critic, 1.0, 0.25, supervision=0.3, sparsity=0.1)
    td = collected(whole, dying)
    torch.manual_seed(5)
    found = quarter(td)
    torch.manual_seed(5)
    expected = whole(td[torch.randperm(ROWS)[: ROWS // 4]])
    for name in ("loss_action_value", "loss_supervision", "loss_sparsity"):
        torch.testing.assert_close(found[name], expected[name])
        assert not torch.equal(found[name], quarter(td)[name])  # other rows, other noise


def test_v_reads_the_given_weights_in_the_other_rows():
    """Weights of 0, with which V is the same in every state."""
    critic = CRITICS["own layers"]()
    (loss,) = losses(critic, 0.25)
    td = collected(loss)
    td["agents", "influence_weight"] = torch.zeros(ROWS, N, N)
    state = td["agents", "state"]
    blind = critic.value_given(state, td["agents", "influence_weight"])
    assert torch.equal(blind, blind[:1].expand_as(blind))
    with torch.no_grad():
        errors = torch.stack([critic(state)[0], blind]) - td["agents", "value_target"]
    torch.manual_seed(5)
    found = loss(td)["loss_value"]
    torch.manual_seed(5)
    order = torch.randperm(ROWS)
    chosen = torch.cat([errors[0, order[:10]], errors[1, order[10:]]])
    torch.testing.assert_close(found, chosen.square().mul(0.5).sum(-2).mean())


def test_given_weights_are_those_that_the_critic_returns():
    for make in CRITICS.values():
        critic = make()
        state = torch.randn(2, 5, N, D)
        value, weight, _ = critic(state)
        torch.testing.assert_close(critic.value_given(state, weight), value)


def test_one_row_is_taught_at_least_and_all_of_them_need_no_weights():
    """A share that rounds to every row is the loss of the paper."""
    critic = CRITICS["own layers"]()
    whole, little, most = losses(critic, 1.0, 0.001, 0.999)
    td = collected(whole)
    torch.manual_seed(5)
    found = little(td)["loss_action_value"]
    torch.manual_seed(5)
    torch.testing.assert_close(found, whole(td[torch.randperm(ROWS)[:1]])["loss_action_value"])
    del td["agents", "influence_weight"]
    torch.testing.assert_close(most(td)["loss_value"], whole(td)["loss_value"])
    assert ("agents", "influence_weight") in little.in_keys
    assert ("agents", "influence_weight") not in whole.in_keys


def test_it_is_refused_in_words(refused):
    (loss,) = losses(CRITICS["own layers"](), 0.5)
    td = minibatch(loss.actor, ROWS)
    with refused("influence_weight", "value_module()", "attention_share=1"):
        loss(td)
    with refused("attention_share=0.5", "StateCritic"):
        losses(StateCritic(N, D, hidden=8), 0.5)
    for share in (0.0, 1.5, float("nan")):
        with refused("attention_share"):
            losses(CRITICS["own layers"](), share)


@pytest.mark.parametrize("words", DEFAULTS)
def test_a_quarter_teaches_a_supervised_attention_and_all_frames_one_as_in_the_paper(words):
    recipe, *arguments = words.split()
    module = build(resolve(training_schema(recipe), [*SMALL, *arguments]))
    assert module.loss.attention_share == DEFAULTS[words]


def test_an_older_checkpoint_goes_on_with_all_frames():
    """Its config has no such key."""
    schema = training_schema("ilvf_p")
    saved = saved_form(resolve(schema, SMALL))
    del saved["algorithm"]["attention_share"]
    _, values = saved_values(schema, saved, "older.ckpt")
    assert values["algorithm.attention_share"] == 1
