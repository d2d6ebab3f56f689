"""Images in observations: where they are, and the convolutions that read them."""

import pytest
import torch
from tensordict import TensorDict
from torch.nn import functional as F

from ilvf.checkpoints.policy import actor_of, arguments_of
from ilvf.checkpoints.verify import ACTOR
from ilvf.envs import CapturePrey
from ilvf.modules import CategoricalActor, InfluenceCritic, StateCritic
from ilvf.modules.agent_nets import layer_norm
from ilvf.modules.images import Image
from ilvf.modules.options import NetworkOptions
from ilvf.modules.reader import AgentConvolution, ImageReader, reader_of
from reading_networks import NETWORKS, SIZES, WIDTH, N

IMAGE = Image(height=5, width=4, channels=2, begin=2, largest=255.0, filters=3)


def reader(image=IMAGE, **options):
    torch.manual_seed(0)
    return reader_of("it", SIZES, image, NetworkOptions(hidden=6, **options))


# ---------------------------------------------------------------------- the convolutions
@pytest.mark.parametrize("share", [False, True])
def test_one_product_for_all_agents_is_a_convolution_of_each(share):
    torch.manual_seed(0)
    layer = AgentConvolution(N, 2, 3, share=share)
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(7, N, 2, 5, 4)
    y = layer(x)
    assert y.shape == (7, N, 3, 3, 2)
    for i in range(N):
        kernel = layer.weight[0 if share else i]
        alone = F.conv2d(x[:, i], kernel, layer.bias[i].flatten(), stride=2, padding=1)
        assert torch.allclose(y[:, i], alone, atol=1e-5)


def test_the_image_is_found_scaled_and_put_beside_the_rest():
    """Rows are [before, image in H, W, C, after]."""
    read, width = reader()
    assert isinstance(read, ImageReader)
    assert width == 6 + 6
    assert IMAGE.features == 6 * 2 * 1  # 5×4 → 3×2 → 2×1, 3 → 6 filters
    before, picture, after = torch.randn(7, N, 2), torch.rand(7, N, 5, 4, 2), torch.randn(7, N, 4)
    rows = read(torch.cat([before, 255 * picture.flatten(2), after], -1))
    x = picture.movedim(-1, -3)
    for convolution in read.convolutions:
        x = convolution(x).relu()
    features = read.features(x.flatten(2).transpose(0, 1)).relu().transpose(0, 1)
    assert torch.allclose(rows[..., :6], features, atol=1e-5)
    assert torch.equal(rows[..., 6:], layer_norm(torch.cat([before, after], -1)))


def test_channels_can_come_first():
    read, _ = reader()
    other, _ = reader(Image(**{**vars(IMAGE), "channels_first": True}))
    picture = torch.rand(7, N, 5, 4, 2)
    rest = torch.zeros(7, N, 6)
    last = torch.cat([rest[..., :2], picture.flatten(2), rest[..., :4]], -1)
    first = torch.cat([rest[..., :2], picture.movedim(-1, 2).flatten(2), rest[..., :4]], -1)
    assert torch.allclose(read(last), other(first), atol=1e-6)


def test_agents_have_their_own_convolutions_unless_they_share():
    observation = torch.rand(1, 1, WIDTH).expand(7, N, -1)
    own = reader()[0](observation)
    shared = reader(share=True)[0](observation)
    assert not torch.allclose(own[:, 0], own[:, 1])
    assert torch.allclose(shared[:, 0], shared[:, 1])


# ---------------------------------------------------------------------- networks
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_reads_an_image(name):
    """Its output depends on every part of the input, and not on an image alone."""
    torch.manual_seed(0)
    network = NETWORKS[name](hidden=8, parts=IMAGE)
    torch.manual_seed(0)
    flat = NETWORKS[name](hidden=8)
    torch.manual_seed(2)
    state = torch.rand(5, N, WIDTH)
    outputs = network(state)
    assert outputs.shape == flat(state).shape
    for place in (0, 2, 41, 45):
        changed = state.clone()
        changed[..., place] += 100
        assert not torch.allclose(network(changed), outputs, atol=1e-7), place


def test_gradients_reach_every_convolution():
    critic = InfluenceCritic(*SIZES, 4, hidden=8, parts=IMAGE)
    value, q = critic.predict(torch.rand(5, N, WIDTH), torch.zeros(5, N, dtype=torch.int64))
    (value.sum() + q.sum()).backward()
    kernels = [p for name, p in critic.named_parameters() if "convolutions" in name]
    assert len(kernels) == 4
    assert all(p.grad.abs().sum() > 0 for p in kernels)


def test_an_actor_is_rebuilt_from_plain_values():
    actor = CategoricalActor(*SIZES, 4, hidden=8, parts=IMAGE)
    assert actor.arguments["parts"] == [vars(IMAGE)]
    again = CategoricalActor.rebuild(actor.arguments, actor.state_dict())
    td = TensorDict({"agents": {"observation": torch.rand(5, N, WIDTH)}}, [5])
    assert torch.equal(again.log_probs_of(td), actor.log_probs_of(td))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"height": 10**8}, "parts is [{'height': 100000000"),
        ({"largest": 0.0}, "Image: largest=0.0 must be positive"),
        ({"depth": 1}, "parts must be an Image"),
        ({"filters": 5}, "size mismatch"),
    ],
)
def test_a_wrong_image_in_a_checkpoint_is_refused(changed, words, refused):
    actor = CategoricalActor(*SIZES, 4, hidden=8, parts=IMAGE)
    state = {f"{ACTOR}{name}": value for name, value in actor.state_dict().items()}
    saved = {**arguments_of(actor), "parts": [{**vars(IMAGE), **changed}]}
    with refused("actor", words):
        actor_of({"state_dict": state, "ilvf": {"actor": saved}})


def test_an_image_beyond_the_observation_is_refused(refused):
    with refused("StateCritic: the image 5×4×2 ends at number 42, but there are 41 states"):
        StateCritic(N, 41, parts=IMAGE)


# ---------------------------------------------------------------------- an environment
@pytest.mark.parametrize("encoding", ["compact", "reference"])
def test_the_window_of_a_predator_is_an_image(encoding):
    """Where the observed numbers change with the prey in the centre cell, the image does."""
    env = CapturePrey(2, 1, dim=5, vision=1, encoding=encoding, num_envs=1, seed=0)
    image = env.observation_image
    assert (image.height, image.width) == (3, 3)
    env.reset()
    cells = []
    for step in ((1, 1), (1, 2)):  # the prey beside the agent at (1, 1), then on it
        world = {**env.world, "position": torch.full((1, 3, 2), 1), "prey": torch.tensor([[step]])}
        seen = env.observe(world)[1][0, 0]
        numbers = seen[image.begin : image.begin + image.size].unflatten(0, image.shape)
        cells.append(numbers if not image.channels_first else numbers.movedim(0, -1))
    changed = (cells[0] != cells[1]).any(-1)
    assert changed.int().tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]
