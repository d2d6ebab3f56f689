"""Sets of entities in observations: where they are, and the attention that reads them."""

import pytest
import torch
from tensordict import TensorDict
from torch import nn

from ilvf.checkpoints.policy import actor_of, arguments_of
from ilvf.checkpoints.verify import ACTOR
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic
from ilvf.modules.agent_nets import layer_norm
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image
from ilvf.modules.options import NetworkOptions
from ilvf.modules.reader import reader_of
from ilvf.modules.set_reader import EntityAttention
from reading_networks import NETWORKS, SIZES, WIDTH, N

B = 7
K = 5
FEATURES = 3
SET = EntitySet(entities=K, features=FEATURES, begin=4, mask=24, heads=2, embedding=8)
SECOND = EntitySet(entities=2, features=4, begin=29, mask=1, heads=2, embedding=8)
IMAGE = Image(height=2, width=3, channels=1, begin=39, filters=2)


def rows_of(there, entities, rest=None):
    """Rows `[B, N, WIDTH]` with this set, and random numbers outside of it.

    Args:
        there: bool `[B, N, K]`.
        entities: `[B, N, K, F]`.
    """
    rows = torch.randn(*there.shape[:-1], WIDTH) if rest is None else rest.clone()
    rows[..., SET.begin : SET.begin + K * FEATURES] = entities.flatten(-2)
    rows[..., SET.mask : SET.mask + K] = there.float()
    return rows


def seen(batch=B):
    """Entities of which about half are there: (flags, entities, rows)."""
    torch.manual_seed(3)
    there = torch.rand(batch, N, K) < 0.5
    there[0] = False  # nobody
    there[1] = True
    entities = torch.randn(batch, N, K, FEATURES)
    return there, entities, rows_of(there, entities)


def network(name):
    torch.manual_seed(0)
    return NETWORKS[name](hidden=8, parts=SET)


# ---------------------------------------------------------------------- the attention
@pytest.mark.parametrize("share", [False, True])
def test_one_product_for_all_agents_is_an_attention_of_each(share):
    """Against torch's `MultiheadAttention`, for one agent and row after the other."""
    torch.manual_seed(0)
    layer = EntityAttention(N, 4, SET, share=share)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    there, entities, _ = seen()
    own = torch.randn(N, B, 4)
    pooled = layer(own, entities, there)
    assert pooled.shape == (N, B, SET.embedding)
    for i in range(N):
        plain = plain_attention(layer, i)
        for b in range(B):
            found = entities[b, i, there[b, i]]
            alone = of_agent(layer, i, own[i, b], found, plain)
            assert torch.allclose(pooled[i, b], alone, atol=1e-4), (i, b)


def plain_attention(layer, i):
    """Torch's attention with the parameters of agent i, without a product at its end."""
    width = SET.embedding
    plain = nn.MultiheadAttention(width, SET.heads, batch_first=True)
    key, value = of(layer.key_value, i)[0].split(width, -1)
    biases = of(layer.key_value, i)[1].split(width, -1)
    state = {
        "in_proj_weight": torch.cat([torch.eye(width), key.T, value.T]),
        "in_proj_bias": torch.cat([torch.zeros(width), *biases]),
        "out_proj.weight": torch.eye(width),
        "out_proj.bias": torch.zeros(width),
    }
    plain.load_state_dict(state)
    return plain


def of(linear, i):
    """(weight, bias) of agent i; a layer without biases has 0."""
    weight = linear.weight[i % len(linear.weight)]
    return weight, 0 if linear.bias is None else linear.bias[i, 0]


def of_agent(layer, i, own, entities, plain):
    """What one agent makes of the entities that are there."""

    def linear(part, x):
        weight, bias = of(part, i)
        return x @ weight + bias

    embedded = (linear(layer.of_entity, entities) + linear(layer.of_own, own)).relu()
    candidates = torch.cat([layer.nobody[i, 0], embedded]).unsqueeze(0)
    query = linear(layer.query, own).view(1, 1, -1)
    return plain(query, candidates, candidates, need_weights=False)[0].flatten()


def test_the_set_is_found_and_put_beside_the_rest():
    torch.manual_seed(0)
    read, width = reader_of("it", SIZES, SET, NetworkOptions(hidden=6))
    there, entities, rows = seen()
    x = read(rows)
    outside = [p for p in range(WIDTH) if not 4 <= p < 19 and not 24 <= p < 29]
    own = torch.cat([there.float().mean(-1, keepdim=True), layer_norm(rows[..., outside])], -1)
    pooled = read.attentions[0](own.transpose(0, 1), entities, there)
    assert width == x.shape[-1] == SET.embedding + 1 + len(outside)
    assert torch.equal(x, torch.cat([pooled.transpose(0, 1), own], -1))


def test_an_observation_can_be_a_set_alone():
    alone = EntitySet(entities=2, features=1, begin=0, mask=2)
    read, width = reader_of("it", (N, 4), alone, NetworkOptions())
    assert read(torch.rand(B, N, 4)).shape == (B, N, width)


# ---------------------------------------------------------------------- networks
@pytest.mark.parametrize("name", NETWORKS)
def test_the_order_of_entities_has_no_influence_and_what_is_not_there_has_none(name):
    found = network(name)
    there, entities, rows = seen()
    outputs = found(rows)
    order = torch.rand(B, N, K).argsort(-1)
    shuffled = entities.gather(-2, order.unsqueeze(-1).expand_as(entities))
    mixed = rows_of(there.gather(-1, order), shuffled, rows)
    assert torch.allclose(found(mixed), outputs, atol=1e-5)
    for garbage in (1e30, torch.inf, torch.nan):
        filled = entities.masked_fill(~there.unsqueeze(-1), garbage)
        assert torch.equal(found(rows_of(there, filled, rows)), outputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_reads_flags_entities_and_the_rest(name):
    found = network(name)
    there, entities, rows = seen()
    outputs = found(rows)
    for changed in (rows_of(~there, entities, rows), rows_of(there, entities + 1, rows)):
        assert not torch.allclose(found(changed), outputs, atol=1e-6)
    rows[..., 45] += 100
    assert not torch.allclose(found(rows), outputs, atol=1e-6)


@pytest.mark.parametrize("garbage", [0.0, torch.nan])
def test_gradients_are_finite_and_reach_every_parameter(garbage):
    """Also where nobody is there, and where what is not there is NaN."""
    torch.manual_seed(0)
    critic = InfluenceCritic(*SIZES, 4, hidden=8, parts=SET)
    there, entities, rows = seen()
    rows = rows_of(there, entities.masked_fill(~there.unsqueeze(-1), garbage), rows)
    rows.requires_grad_()
    value, q = critic.predict(rows, torch.zeros(B, N, dtype=torch.int64))
    (value.sum() + q.sum()).backward()
    assert rows.grad.isfinite().all()
    assert not rows.grad[0, :, SET.begin : SET.begin + K * FEATURES].any()
    for name, parameter in critic.read.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_agents_have_their_own_attention_unless_they_share():
    rows = seen()[2][:, :1].expand(-1, N, -1)
    for share in (False, True):
        torch.manual_seed(0)
        read, _ = reader_of("it", SIZES, SET, NetworkOptions(share=share))
        x = read(rows)
        assert torch.allclose(x[:, 0], x[:, 1]) is share


def test_two_sets_and_an_image_are_read_side_by_side():
    parts = [IMAGE, SECOND, SET]
    torch.manual_seed(0)
    actor = CategoricalActor(*SIZES, 4, hidden=8, gain=1.0, parts=parts)
    assert actor.arguments["parts"] == [vars(part) for part in parts]
    rows = torch.rand(B, N, WIDTH)
    outputs = actor.outputs(rows)
    for place in (0, 1, 4, 24, 29, 39, 44, 45):
        changed = rows.clone()
        changed[..., place] += 1
        assert not torch.allclose(actor.outputs(changed), outputs, atol=1e-7), place


# ---------------------------------------------------------------------- checkpoints and faults
def test_an_actor_is_rebuilt_from_plain_values():
    actor = CategoricalActor(*SIZES, 4, hidden=8, parts=[SET])
    again = CategoricalActor.rebuild(actor.arguments, actor.state_dict())
    td = TensorDict({"agents": {"observation": seen()[2]}}, [B])
    assert torch.equal(again.log_probs_of(td), actor.log_probs_of(td))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"entities": 10**8}, "more than its weights have"),
        ({"heads": 3}, "embedding=8 must be a multiple of heads=3"),
        ({"depth": 1}, "parts must be an Image or an EntitySet"),
        ({"embedding": 16}, "size mismatch"),
    ],
)
def test_a_wrong_set_in_a_checkpoint_is_refused(changed, words, refused):
    actor = CategoricalActor(*SIZES, 4, hidden=8, parts=SET)
    state = {f"{ACTOR}{name}": value for name, value in actor.state_dict().items()}
    saved = {**arguments_of(actor), "parts": [{**vars(SET), **changed}]}
    with refused("actor", words):
        actor_of({"state_dict": state, "ilvf": {"actor": saved}})


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([SET, SET], "the set of 5 entities with 3 features has number 4, which is in another"),
        (EntitySet(K, 3, begin=0, mask=14), "has number 14, which is in another part"),
        (EntitySet(K, 3, begin=0, mask=42), "ends at number 47, but there are 46 states"),
        ([IMAGE, Image(1, 1, 1)], "2 images, and can have one"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, words, refused):
    with refused("StateCritic: ", words):
        StateCritic(*SIZES, parts=parts)
