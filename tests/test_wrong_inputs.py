"""Networks, losses and `ILVFAdvantage` answer wrong inputs with one sentence.

`TENSORS` has functions of tensors, `ROLLOUTS` functions of a tensordict. The tests replace one
tensor at a time by something wrong, which must be refused in one sentence; where broadcasting makes
sense of it, it may be accepted, but nothing else is raised.
"""

import pytest
import torch
from tensordict import TensorDict

from credit_helpers import A, D, N, acted_rollout, gae, influence_values
from ilvf import credit, losses, modules
from ilvf.errors import UsageError
from ilvf.modules.options import NetworkOptions

B = 4  # rows
HIDDEN = {"hidden": 4}
DIALS = modules.MultiChoices([[A, 2]] * N)
BOX = modules.Box(-torch.ones(N, 2), 2 * torch.ones(N, 2))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def told(call, *arguments):
    """The sentence with which a call is refused; None if it is accepted."""
    try:
        call(*arguments)
    except UsageError as error:
        sentence = str(error)
        assert "\n" not in sentence
        return sentence
    return None


# ---------------------------------------------------------------------- tensors
def state():
    return torch.randn(B, N, D)


def action():
    return torch.randint(A, (B, N))


def numbers():
    """Continuous actions."""
    return BOX.random(state())


def weight():
    return torch.rand(B, N, N)


def value_norm():
    return modules.ValueNorm((N, 1))


def several():
    return modules.MultiCategoricalActor(N, D, DIALS, **HIDDEN)


def critic(name, actions=A):
    """A critic by the name of its class."""
    kind = getattr(modules, name)
    reads_actions = name not in ("StateCritic", "LocalCritic", "CentralCritic")
    return kind(N, D, actions, **HIDDEN) if reads_actions else kind(N, D, **HIDDEN)


VALUES = (
    "StateCritic",
    "LocalCritic",
    "CentralCritic",
    "InfluenceCritic",
    "ActionInfluenceCritic",
    "RelevanceCritic",
)
ACTION_VALUES = ("InfluenceCritic", "ActionInfluenceCritic", "RelevanceCritic")
TENSORS = {  # name → function, its tensors
    **{name: (critic(name), state()) for name in VALUES},
    **{f"{name}.predict": (critic(name).predict, state(), action()) for name in ACTION_VALUES},
    **{
        f"{name}.predict of a Box": (critic(name, BOX).predict, state(), numbers())
        for name in ACTION_VALUES
    },
    "Choices.encode": (modules.Choices(A).encode, action(), state()),
    "Choices.random": (modules.Choices(A).random, state()),
    "MultiChoices.encode": (DIALS.encode, torch.ones(B, N, 2, dtype=torch.int64), state()),
    "MultiChoices.random": (DIALS.random, state()),
    "MultiCategoricalActor.outputs": (several().outputs, state()),
    "StateCritic of an image": (
        modules.StateCritic(N, D, parts={"height": 1, "width": D, "channels": 1}, **HIDDEN),
        state(),
    ),
    "StateCritic of a set": (
        modules.StateCritic(N, D, parts={"entities": 1, "features": 1, "mask": 1}, **HIDDEN),
        state(),
    ),
    "Box.encode": (BOX.encode, numbers(), state()),
    "Box.random": (BOX.random, state()),
    "RelevanceCritic.relevance": (critic("RelevanceCritic").relevance, state(), action()),
    "CounterfactualCritic": (critic("CounterfactualCritic"), state(), action()),
    "JointCritic": (critic("JointCritic"), state(), torch.rand(B, N * A)),
    "GumbelAttention": (modules.GumbelAttention(N, D, **HIDDEN), state()),
    "CategoricalActor.log_probs": (modules.CategoricalActor(N, D, A, **HIDDEN).log_probs, state()),
    "GaussianActor.outputs": (modules.GaussianActor(N, D, BOX, **HIDDEN).outputs, state()),
    "DeterministicActor.outputs": (
        modules.DeterministicActor(N, D, BOX, **HIDDEN).outputs,
        state(),
    ),
    "RandomActor.log_probs": (modules.RandomActor(A).log_probs, state()),
    "GreedyActor.values": (modules.GreedyActor(N, D, A, **HIDDEN).values, state()),
    "Mixer qmix": (modules.Mixer("qmix", N, D), torch.randn(B, N, 1), state()),
    "Mixer vdn": (modules.Mixer("vdn", N, D), torch.randn(B, N, 1)),
    "AgentLinear": (modules.AgentLinear(N, D, A), torch.randn(N, B, D)),
    "AgentMLP": (modules.AgentMLP(N, D, A, **HIDDEN), torch.randn(N, B, D)),
    "local_advantage": (credit.local_advantage, weight(), torch.randn(B, N, 1)),
    "force_diagonal": (credit.force_diagonal, weight()),
    "standardise": (credit.standardise, torch.randn(B, N, 1)),
    "Threshold": (credit.Threshold(), weight()),
    "Bernoulli": (credit.Bernoulli(), weight()),
    "Soft": (credit.Soft(), weight()),
    "ValueNorm.update": (value_norm().update, torch.randn(B, N, 1)),
    "ValueNorm.normalize": (value_norm().normalize, torch.randn(B, N, 1)),
    "ValueNorm.denormalize": (value_norm().denormalize, torch.randn(B, N, 1)),
}
NO_TENSORS = [None, 3, "x", [[1.0]], torch.nn.Identity()]
FIRST_LAYERS = (modules.OwnFirst, modules.SharedFirst)


def spoilt(x):
    """Tensors that are wrong in place of `x`, by what is wrong."""
    wider = torch.cat([x, x[..., :1]], -1)
    return {
        "a number": x.flatten()[0],
        "one axis": x.flatten(),
        "last axis": wider,
        "axis of agents": torch.cat([x, x[:, :1]], 1) if x.ndim > 2 else wider,
        "kind of number": x.long() if x.is_floating_point() else x.double(),
        "double": x.double(),
    }


def arguments():
    """(name, number of the tensor) of all functions of tensors."""
    return [(name, k) for name, (_, *xs) in TENSORS.items() for k in range(len(xs))]


@pytest.mark.parametrize(("name", "number"), arguments())
@pytest.mark.parametrize("wrong", NO_TENSORS, ids=lambda x: type(x).__name__)
def test_what_is_no_tensor_is_refused(name, number, wrong):
    function, *tensors = TENSORS[name]
    tensors[number] = wrong
    sentence = told(function, *tensors)
    assert sentence is not None
    assert "must be" in sentence or "needs" in sentence


@pytest.mark.parametrize(("name", "number"), arguments())
@pytest.mark.parametrize("fault", spoilt(torch.zeros(1, 1, 1)))
def test_a_wrong_tensor_is_refused_or_makes_sense(name, number, fault):
    function, *tensors = TENSORS[name]
    tensors[number] = spoilt(tensors[number])[fault]
    told(function, *tensors)


@pytest.mark.parametrize(
    ("name", "fault"),
    [(name, fault) for name in VALUES for fault in ("last axis", "axis of agents", "double")],
)
def test_states_of_another_shape_or_type_are_refused(name, fault):
    function, x = TENSORS[name]
    sentence = told(function, spoilt(x)[fault])
    assert sentence is not None
    assert ("float64" if fault == "double" else f"{N} agents") in sentence


@pytest.mark.parametrize("name", [*(f"{n}.predict" for n in ACTION_VALUES), "CounterfactualCritic"])
@pytest.mark.parametrize("index", [-1, A])
def test_actions_that_do_not_exist_are_named(name, index):
    function, x, chosen = TENSORS[name]
    chosen = chosen.clone()
    chosen[1, 2] = index
    sentence = told(function, x, chosen)
    assert sentence is not None
    assert f"action {index} is out of range" in sentence
    assert f"0 to {A - 1}" in sentence


@pytest.mark.parametrize("kind", FIRST_LAYERS)
def test_first_layers_are_modules(kind):
    """They are called by `InfluenceCritic`, which has checked its inputs."""
    assert kind(N, D, A, NetworkOptions(**HIDDEN)).prepare(state()).shape == (B, N, D)


# ---------------------------------------------------------------------- rollouts and minibatches
ESTIMATORS = (
    "ILVFAdvantage",
    "ILVFAdvantage shifted",
    "ScoreInfluence",
    "ScoreInfluence of a Box",
    "ScoreInfluence of several choices",
)  # TorchRL makes one


def batch():
    """A flat minibatch with all that the losses read."""
    td = acted_rollout()
    td["agents", "influence_weight"] = torch.rand(*td.shape, N, N)
    td["next", "agents", "state"] = td["agents", "state"].clone()
    credit.ILVFAdvantage(gae(), influence_values())(td)
    td["agents", "normalised_value"] = td["agents", "state_value"].clone()
    return td.reshape(-1).clone()


def continuous_rollout():
    """A rollout of a `GaussianActor`."""
    td = acted_rollout()
    return gaussian()(td)


def continuous_batch():
    """A flat minibatch of continuous actions."""
    td = batch()
    return gaussian()(td)


def masked():
    td = acted_rollout()
    td["agents", "action_mask"] = torch.ones(*td.shape, N, A, dtype=torch.bool)
    return td


def gaussian():
    return modules.GaussianActor(N, D, BOX, **HIDDEN)


def several_rollout():
    """A rollout of a `MultiCategoricalActor`."""
    return several()(acted_rollout())


def several_batch():
    """A flat minibatch of several choices."""
    return several()(batch())


def deterministic():
    return modules.DeterministicActor(N, D, BOX, **HIDDEN)


def ppo():
    return losses.PPOLoss(modules.CategoricalActor(N, D, A, **HIDDEN), critic("StateCritic"))


def maddpg():
    actor = modules.CategoricalActor(N, D, A, **HIDDEN)
    return losses.MADDPGLoss(actor, modules.JointCritic(N, D, A, **HIDDEN))


def continuous_maddpg():
    return losses.MADDPGLoss(deterministic(), modules.JointCritic(N, D, BOX, **HIDDEN))


def qmix():
    return losses.QMIXLoss(modules.GreedyActor(N, D, A, **HIDDEN), modules.Mixer("qmix", N, D))


def score(actor):
    return credit.ILVFAdvantage(gae(), influence_values(), credit.ScoreInfluence(actor))


ROLLOUTS = {  # name → function of a tensordict, that tensordict
    "ILVFAdvantage": (lambda: credit.ILVFAdvantage(gae(), influence_values()), acted_rollout),
    "ILVFAdvantage shifted": (
        lambda: credit.ILVFAdvantage(gae(), influence_values(), shifted=True),
        acted_rollout,
    ),
    "ScoreInfluence": (
        lambda: score(modules.CategoricalActor(N, D, A, **HIDDEN)),
        acted_rollout,
    ),
    "ScoreInfluence of a Box": (lambda: score(gaussian()), continuous_rollout),
    "ScoreInfluence of several choices": (lambda: score(several()), several_rollout),
    "PPOLoss of several choices": (
        lambda: losses.PPOLoss(several(), critic("InfluenceCritic", DIALS)),
        several_batch,
    ),
    "MultiCategoricalActor": (several, acted_rollout),
    "PPOLoss": (ppo, batch),
    "PPOLoss of a Box": (
        lambda: losses.PPOLoss(gaussian(), critic("InfluenceCritic", BOX)),
        continuous_batch,
    ),
    "ActionValueLoss of a Box": (
        lambda: losses.ActionValueLoss(critic("InfluenceCritic", BOX)),
        continuous_batch,
    ),
    "MADDPGLoss of a Box": (continuous_maddpg, continuous_batch),
    "ActionValueLoss": (lambda: losses.ActionValueLoss(critic("InfluenceCritic")), batch),
    "QMIXLoss": (qmix, batch),
    "MADDPGLoss": (maddpg, batch),
    "CategoricalActor": (lambda: modules.CategoricalActor(N, D, A, masked=True), masked),
    "GreedyActor": (lambda: modules.GreedyActor(N, D, A), acted_rollout),
    "RandomActor": (lambda: modules.RandomActor(A), acted_rollout),
    "RandomActor masked": (lambda: modules.RandomActor(A, masked=True), masked),
    "RandomActor of a Box": (lambda: modules.RandomActor(BOX), acted_rollout),
    "GaussianActor": (gaussian, acted_rollout),
    "GaussianActor.evaluate": (lambda: gaussian().evaluate, continuous_rollout),
    "DeterministicActor": (deterministic, acted_rollout),
    "NoisyActor": (lambda: modules.NoisyActor(deterministic(), "ou"), acted_rollout),
    "value_module": (influence_values, acted_rollout),
    "relevance_module": (lambda: critic("RelevanceCritic").relevance_module(), acted_rollout),
}


OURS = [name for name in ROLLOUTS if not name.endswith("_module")]  # others are TorchRL's


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("wrong", [None, 3, "x", []], ids=lambda x: type(x).__name__)
def test_what_is_no_tensordict_is_refused(name, wrong):
    make, _ = ROLLOUTS[name]
    sentence = told(make(), wrong)
    assert sentence is not None
    assert "TensorDict is needed" in sentence or name in ESTIMATORS


@pytest.mark.parametrize("name", OURS)
def test_an_entry_that_is_missing_is_named(name):
    make, make_td = ROLLOUTS[name]
    function = make()
    td = make_td()
    found = 0
    for key in td.keys(True, True):
        sentence = told(function, td.exclude(key))
        if sentence is not None:
            found += 1
            assert str(key[-1] if isinstance(key, tuple) else key) in sentence
    assert found > 0


@pytest.mark.parametrize("fault", ["last axis", "axis of agents", "kind of number", "double"])
@pytest.mark.parametrize("name", ROLLOUTS)
def test_a_wrong_entry_is_refused_or_makes_sense(name, fault):
    make, make_td = ROLLOUTS[name]
    function = make()
    for key in list(make_td().keys(True, True)):
        td = make_td()
        value = td[key]
        names = [None] * td.ndim
        broken = TensorDict(td.to_dict(), td.shape, names=td.names or names)
        broken.set(key, spoilt_entry(value, td.ndim, fault))
        told(function, broken)


def spoilt_entry(value, dims, fault):
    if fault == "axis of agents":
        if value.ndim <= dims:
            return value
        return torch.cat([value, value.narrow(dims, 0, 1)], dims)
    if fault == "last axis" and value.ndim > dims:
        return torch.cat([value, value[..., :1]], -1)
    if fault == "last axis":
        return value
    return spoilt(value.reshape(1, 1, -1))[fault].reshape(value.shape)


@pytest.mark.parametrize("name", ["PPOLoss", "ActionValueLoss", "QMIXLoss", "MADDPGLoss"])
def test_losses_name_actions_that_do_not_exist(name):
    make, make_td = ROLLOUTS[name]
    td = make_td()
    td["agents", "action"][0, 0] = A
    sentence = told(make(), td)
    assert sentence is not None
    assert f"action {A} is out of range" in sentence


def test_a_group_that_does_not_exist_is_named():
    sentence = told(credit.ILVFAdvantage(gae(), influence_values(), group="cars"), acted_rollout())
    assert sentence is not None
    assert "no group 'cars'" in sentence
    assert "'agents'" in sentence


def test_a_source_whose_weights_are_out_of_range_is_named():
    class Doubled(credit.InfluenceSource):
        def influence(self, tensordict, key, like):
            return 2 * torch.eye(N).expand(*like.shape[:-1], N)

    sentence = told(credit.ILVFAdvantage(gae(), influence_values(), Doubled()), acted_rollout())
    assert sentence is not None
    assert "Doubled is in [0, 2]" in sentence
