"""Options of the networks: each changes what they compute, and mistakes are one sentence."""

import dataclasses

import pytest
import torch
from torch import nn

from ilvf.modules import (
    ActionInfluenceCritic,
    AgentLinear,
    AgentMLP,
    CategoricalActor,
    CentralCritic,
    CounterfactualCritic,
    GreedyActor,
    GumbelAttention,
    InfluenceCritic,
    JointCritic,
    LocalCritic,
    Mixer,
    RelevanceCritic,
    StateCritic,
)
from ilvf.modules.options import ActorOptions, AttentionOptions, NetworkOptions

N = 5  # agents
D = 6  # numbers of a state
A = 4  # actions
B = 7  # rows


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------- all networks
STATE = torch.randn(B, N, D, generator=torch.Generator().manual_seed(1))
ACTION = torch.randint(A, (B, N), generator=torch.Generator().manual_seed(1))
ONE_HOT = nn.functional.one_hot(ACTION, A).flatten(1)


def value_and_action_value(critic):
    """V, and Q where the critic has one, without the noise of another call."""
    torch.manual_seed(1)
    value, action_value = critic.predict(STATE, ACTION)
    return torch.cat([value, value if action_value is None else action_value])


NETWORKS = {  # name: (constructor, the class of its options, what it computes)
    "categorical actor": (
        lambda **k: CategoricalActor(N, D, A, **k),
        ActorOptions,
        lambda actor: actor.log_probs(STATE),
    ),
    "greedy actor": (
        lambda **k: GreedyActor(N, D, A, **k),
        ActorOptions,
        lambda actor: actor.values(STATE),
    ),
    "joint critic": (
        lambda **k: JointCritic(N, D, A, **k),
        ActorOptions,
        lambda critic: critic(STATE, ONE_HOT),
    ),
    "influence critic": (
        lambda **k: InfluenceCritic(N, D, A, **k),
        AttentionOptions,
        value_and_action_value,
    ),
    "action influence critic": (
        lambda **k: ActionInfluenceCritic(N, D, A, **k),
        AttentionOptions,
        value_and_action_value,
    ),
    "attention": (
        lambda **k: GumbelAttention(N, D, **k),
        AttentionOptions,
        lambda attention: attention.weight(attention(STATE)),
    ),
    "state critic": (
        lambda **k: StateCritic(N, D, **k),
        NetworkOptions,
        value_and_action_value,
    ),
    "local critic": (
        lambda **k: LocalCritic(N, D, **k),
        NetworkOptions,
        value_and_action_value,
    ),
    "central critic": (
        lambda **k: CentralCritic(N, D, **k),
        NetworkOptions,
        value_and_action_value,
    ),
    "relevance critic": (
        lambda **k: RelevanceCritic(N, D, A, **k),
        NetworkOptions,
        value_and_action_value,
    ),
    "counterfactual critic": (
        lambda **k: CounterfactualCritic(N, D, A, **k),
        NetworkOptions,
        value_and_action_value,
    ),
}
OTHER_VALUES = {
    "hidden": 9,
    "depth": 3,
    "activation": "tanh",
    "hidden_norm": True,
    "share": True,
    "input_norm": "none",
    "gain": 0.5,
    "tau": 0.5,
    "initial": "identity",
}
CASES = [
    (network, field.name)
    for network, (_, options, _) in NETWORKS.items()
    for field in dataclasses.fields(options)
    if (network, field.name) != ("central critic", "share")  # it is one network
]


def computed(network, options):
    """What the network computes when it is built with the seed 0."""
    make, _, compute = NETWORKS[network]
    torch.manual_seed(0)
    with torch.no_grad():
        return compute(make(**options))


@pytest.mark.parametrize(("network", "name"), CASES)
def test_every_option_changes_what_the_network_computes(network, name):
    changed = computed(network, {name: OTHER_VALUES[name]})
    assert not torch.allclose(changed, computed(network, {}), rtol=0, atol=1e-6)


@pytest.mark.parametrize("network", list(NETWORKS))
def test_defaults_are_those_of_the_options_class(network):
    _, options, _ = NETWORKS[network]
    defaults = dataclasses.asdict(options())
    if network == "attention":
        defaults["depth"] = 1  # f_h has one hidden layer
    assert torch.equal(computed(network, defaults), computed(network, {}))


@pytest.mark.parametrize("network", list(NETWORKS))
def test_an_unknown_option_is_one_sentence(network, refused):
    make, _, _ = NETWORKS[network]
    with refused("has no option 'hiden'", "did you mean 'hidden'", "activation"):
        make(hiden=8)


def test_bad_options_are_one_sentence(refused):
    with refused("tau=0", "positive"):
        GumbelAttention(N, D, tau=0)
    with refused("initial='ons'", "identity", "did you mean 'ones'"):
        GumbelAttention(N, D, initial="ons")
    with refused("activation='rulu'", "relu"):
        AgentMLP(N, D, 1, activation="rulu")
    with refused("AgentMLP has no option 'input_norm'"):
        AgentMLP(N, D, 1, input_norm="none")
    with refused("hidden=0", "at least 1"):
        StateCritic(N, D, hidden=0)
    with refused("input_norm='batch'", "layer"):
        Mixer("qmix", N, D, input_norm="batch")
    with refused("fan_in=0", "at least 1"):
        AgentLinear(N, 0, 4)


# ---------------------------------------------------------------------- normalization of inputs
def readers_of_the_scale(input_norm):
    """Functions of a state `[6, 3, 4]`, one per kind of network."""
    n = 3
    d = 4
    a = 5
    options = {"hidden": 8, "input_norm": input_norm}
    action = torch.randint(a, (6, n))
    influence = InfluenceCritic(n, d, a, initial="ones", **options)
    shared = InfluenceCritic(n, d, a, initial="ones", shared_first=True, **options)
    no_inferring = ActionInfluenceCritic(n, d, a, **options)
    counterfactual = CounterfactualCritic(n, d, a, **options)
    relevance = RelevanceCritic(n, d, a, **options)
    joint = JointCritic(n, d, a, gain=1.0, **options)
    mixer = Mixer("qmix", n, d, input_norm=input_norm)
    return {
        "actor": CategoricalActor(n, d, a, gain=1.0, **options).log_probs,
        "greedy actor": GreedyActor(n, d, a, **options).values,
        "state critic": StateCritic(n, d, **options),
        "state critic, shared_first": StateCritic(n, d, shared_first=True, **options),
        "local critic": LocalCritic(n, d, **options),
        "central critic": CentralCritic(n, d, **options),
        "influence critic, V": lambda s: influence(s)[0],
        "influence critic, w": lambda s: influence(s)[1],
        "influence critic, shared_first, V": lambda s: shared(s)[0],
        "action influence critic, w": lambda s: no_inferring(s)[1],
        "action influence critic, V": lambda s: no_inferring(s)[0],
        "counterfactual critic": lambda s: counterfactual.all_actions(s, action),
        "relevance critic": lambda s: relevance.relevance(s, action),
        "joint critic": lambda s: joint(s, torch.zeros(6, n * a)),
        "mixer": lambda s: mixer(torch.ones(6, n, 1), s),
    }


@pytest.mark.parametrize("name", list(readers_of_the_scale("none")))
def test_layer_norm_removes_the_scale_of_the_inputs_and_none_keeps_it(name):
    state = torch.randn(6, 3, 4)
    for input_norm in ("layer", "none"):
        torch.manual_seed(1)
        network = readers_of_the_scale(input_norm)[name]
        unchanged = torch.allclose(network(state), network(3 * state), atol=1e-3)
        assert unchanged == (input_norm == "layer"), input_norm
