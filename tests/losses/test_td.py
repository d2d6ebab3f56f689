"""What `QMIXLoss` and `MADDPGLoss` share: targets, normalization, options."""

import pytest
import torch
from tensordict.nn import TensorDictSequential

from losses.off_policy_parts import N, maddpg_loss, qmix_loss, transitions


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def let_the_target_be(loss, future):
    """Make the target network output `future` everywhere: zero weights, and a bias."""
    if hasattr(loss, "target_mixer"):
        module = loss.target_mixer
        bias = module.net.V[-1].bias
    else:
        module = loss.target_critic
        bias = module.net.head.bias
    for p in module.parameters():
        p.data.zero_()
    bias.data.fill_(future)


def targets_of(loss, terminated):
    """y of two transitions with the rewards 1, 2 and 3, whose episode is truncated too."""
    td = transitions(2, terminated)
    reward = torch.tensor([[1.0], [2.0], [3.0]])
    td["next", "agents", "reward"] = reward.expand(2, N, 1).clone()
    td["next", "truncated"] = torch.ones(2, 1, dtype=torch.bool)
    td["next", "done"] = torch.ones(2, 1, dtype=torch.bool)
    return loss.target(td)


def test_a_qmix_target_bootstraps_on_truncation_and_not_on_termination():
    """Σ r + γ · future = (1 + 2 + 3) + 0.9 · 10 = 15; after termination 6."""
    loss = qmix_loss(gamma=0.9)
    let_the_target_be(loss, 10.0)
    assert torch.allclose(targets_of(loss, terminated=False), torch.tensor([[15.0], [15.0]]))
    assert torch.allclose(targets_of(loss, terminated=True), torch.tensor([[6.0], [6.0]]))


def test_a_maddpg_target_bootstraps_on_truncation_and_not_on_termination():
    """r_i + γ · future = r_i + 0.9 · 10; after termination r_i."""
    loss = maddpg_loss(gamma=0.9)
    let_the_target_be(loss, 10.0)
    bootstrapped = torch.tensor([[10.0], [11.0], [12.0]])
    assert torch.allclose(targets_of(loss, terminated=False), bootstrapped.expand(2, N, 1))
    assert torch.allclose(targets_of(loss, terminated=True), bootstrapped.expand(2, N, 1) - 9)


@pytest.mark.parametrize(("make", "term"), [(qmix_loss, "loss_td"), (maddpg_loss, "loss_critic")])
def test_normalized_values_free_the_loss_from_the_scale_of_the_rewards(make, term):
    """Rewards times 1000, plus 7, give the same loss; the target itself is in reward units."""
    td = transitions(64)
    found = []
    for scale, offset in ((1.0, 0.0), (1000.0, 7.0)):
        torch.manual_seed(3)
        loss = make(gamma=0.9, normalize_values=True)
        scaled = td.clone()
        scaled["next", "agents", "reward"] = scale * td["next", "agents", "reward"] + offset
        terms = loss(scaled)
        found.append(terms[term])
    assert torch.allclose(*found, rtol=1e-3)
    assert terms["target"].abs() > 50


@pytest.mark.parametrize(("make", "term"), [(qmix_loss, "loss_td"), (maddpg_loss, "loss_critic")])
@pytest.mark.parametrize("option", [{"gamma": 0.5}, {"huber_delta": 0.1}])
def test_every_option_changes_the_loss(make, term, option):
    found = []
    for options in ({}, option):
        torch.manual_seed(3)
        loss = make(**options)
        found.append(loss(transitions(64))[term].item())
    assert found[0] != pytest.approx(found[1])


@pytest.mark.parametrize("make", [qmix_loss, maddpg_loss])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"gamma": 2.0}, ("gamma=2", "[0, 1]")),
        ({"huber_delta": 0.0}, ("huber_delta=0", "positive")),
        ({"normalise": True}, ("has no option 'normalise'", "did you mean 'normalize_values'")),
    ],
)
def test_a_bad_option_is_one_sentence(make, option, words, refused):
    with refused(*words):
        make(**option)


@pytest.mark.parametrize("make", [qmix_loss, maddpg_loss])
def test_a_loss_is_a_part_of_a_sequence(make):
    td = TensorDictSequential(make())(transitions())
    assert {"target", "error"} <= set(td.keys())


@pytest.mark.parametrize("make", [qmix_loss, maddpg_loss])
def test_a_key_of_an_unknown_name_is_one_sentence(make, refused):
    loss = make()
    with refused("has no key rewards", "state, reward, terminated"):
        loss.set_keys(rewards=("agents", "reward"))
    loss.set_keys(reward="team")
    loss.set_keys(reward=None)  # the default, as TorchRL has it
    assert loss.tensor_keys.reward == ("agents", "reward")
