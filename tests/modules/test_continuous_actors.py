"""Actors for continuous actions: bounds, densities, deterministic modes, exploration noise."""

import pytest
import torch
from tensordict import TensorDict
from torch.distributions import Normal
from torchrl.envs.utils import ExplorationType, set_exploration_type

from continuous_helpers import HIGH, LOW
from ilvf.modules import Box, CategoricalActor, DeterministicActor, GaussianActor, RandomActor
from ilvf.modules.actors.deterministic import NoisyActor
from ilvf.modules.actors.greedy import RandomFirst

N = 2
D = 5
POLICIES = [
    dict(distribution=distribution, scale=scale)
    for distribution in ("normal", "tanh_normal")
    for scale in ("shared", "state")
]
every_policy = pytest.mark.parametrize("options", POLICIES, ids=lambda o: "-".join(o.values()))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def box():
    return Box(LOW, HIGH)


def gaussian(**options):
    """An actor whose policies differ from each other."""
    return GaussianActor(N, D, box(), hidden=8, gain=1.0, **options)


def deterministic(**options):
    return DeterministicActor(N, D, box(), hidden=8, gain=1.0, **options)


def observed(rows=500, same=False):
    observation = torch.randn(1 if same else rows, N, D).expand(rows, N, D)
    return TensorDict({"agents": {"observation": observation}}, [rows])


# ---------------------------------------------------------------------- GaussianActor
@every_policy
def test_actions_are_within_their_bounds(options):
    actor = gaussian(initial_scale=2.0, **options)
    td = actor(observed())
    action = td["agents", "action"]
    assert not actor.actions.problem(action, "it")
    assert (action[..., 0, 1] == 0).all()  # padding
    if options["distribution"] == "normal":
        assert (action == actor.actions.high)[..., 1, :].any()  # clipped


@every_policy
def test_the_log_density_is_that_of_the_formula(options):
    """Of the free numbers: log N(x), minus log |d tanh x / dx| for u = tanh x."""
    actor = gaussian(**options)
    td = actor(observed())
    loc, scale = actor.parameters_of(td)
    x = td["agents", "action_sample"]
    u = x.tanh() if actor.squashed else x
    density = Normal(loc, scale).log_prob(x)
    if actor.squashed:
        density = density - torch.log(1 - u.square())
    expected = (density * actor.actions.free).sum(-1)
    assert torch.allclose(td["agents", "action_log_prob"], expected, atol=1e-2)
    typical = (u.abs() < 0.9).all(-1)
    found = td["agents", "action_log_prob"][typical]
    assert torch.allclose(found, expected[typical], atol=1e-4)


@every_policy
def test_recorded_samples_are_evaluated_as_they_were_drawn(options):
    """The first ratio of PPO is 1, also where actions are at their bounds."""
    actor = gaussian(initial_scale=3.0, **options)
    td = actor(observed())
    log_prob, _ = actor.evaluate(td)
    assert torch.equal(log_prob, td["agents", "action_log_prob"])


@pytest.mark.parametrize("loc", [0.0, 4.0, 8.0, 20.0])
def test_scores_have_mean_zero_however_far_tanh_saturates(loc):
    """E ∂ log π / ∂μ = 0, also where tanh x rounds to 1 for every sample."""
    actor = gaussian(distribution="tanh_normal")
    mean = torch.full((20_000, N, 2), loc, requires_grad=True)
    scale = torch.full_like(mean, 0.5)
    sample = torch.normal(mean.detach(), scale)
    actor.log_density(mean, scale, sample).sum().backward()
    score = mean.grad[..., actor.actions.free]
    error = score.std() / score.numel() ** 0.5
    assert score.mean().abs() < 4.5 * error
    assert torch.isfinite(score).all()


@every_policy
def test_the_entropy_is_the_mean_negative_log_density(options):
    actor = gaussian(**options)
    td = actor(observed(rows=20_000, same=True))
    log_prob, entropy = actor.evaluate(td)
    assert torch.allclose(entropy.mean(0), -log_prob.mean(0), atol=0.05)


@every_policy
def test_the_entropy_has_a_gradient(options):
    actor = gaussian(**options)
    td = actor(observed(50))
    actor.evaluate(td)[1].sum().backward()
    scale = actor.raw_scale if options["scale"] == "shared" else actor.net.head.weight
    assert scale.grad.abs().sum() > 0


@every_policy
def test_good_actions_become_more_likely(options):
    """After one step along the gradient of the log-density."""
    actor = gaussian(**options)
    td = actor(observed(50)).detach()
    before, _ = actor.evaluate(td)
    before.sum().backward()
    with torch.no_grad():
        for parameter in actor.parameters():
            if parameter.grad is not None:
                parameter -= -1e-4 * parameter.grad
    assert actor.evaluate(td)[0].sum() > before.sum()


@every_policy
def test_deterministic_modes_take_the_centre(options):
    actor = gaussian(**options)
    td = observed()
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        first = actor(td.clone())["agents", "action"]
        assert torch.equal(first, actor(td.clone())["agents", "action"])
    loc, _ = actor.parameters_of(td)
    centre = loc.tanh() if actor.squashed else loc
    assert torch.allclose(first, actor.actions.denormalize(centre), atol=1e-5)


@every_policy
def test_draws_with_the_same_noise_are_the_same(options):
    """And have the distribution of samples."""
    actor = gaussian(**options)
    td = observed(rows=20_000, same=True)
    draws = actor.draw(td, torch.Generator().manual_seed(3))
    assert torch.equal(draws, actor.draw(td, torch.Generator().manual_seed(3)))
    samples = actor(td)["agents", "action"]
    assert torch.allclose(draws.mean(0), samples.mean(0), atol=0.1)
    assert torch.allclose(draws.std(0), samples.std(0), atol=0.1)


@pytest.mark.parametrize("scale", ["shared", "state"])
def test_the_first_scale_is_the_one_that_is_asked_for(scale):
    actor = GaussianActor(N, D, box(), scale=scale, initial_scale=0.3)
    _, found = actor.parameters_of(observed())
    assert torch.allclose(found, torch.tensor(0.3), atol=0.01)


def test_one_scale_for_all_states_or_one_for_each():
    _, shared = gaussian(scale="shared").parameters_of(observed())
    _, of_state = gaussian(scale="state").parameters_of(observed())
    assert (shared == shared[0]).all()
    assert of_state.std(0).min() > 0.01


def test_n_networks_in_one_product_equal_n_networks():
    """Each agent reads its own observation alone."""
    actor = gaussian(scale="state")
    td = observed(10)
    loc, _ = actor.parameters_of(td)
    td["agents", "observation"] = td["agents", "observation"].clone()
    td["agents", "observation"][:, 1] += 1
    changed, _ = actor.parameters_of(td)
    assert torch.equal(changed[:, 0], loc[:, 0])
    assert not torch.allclose(changed[:, 1], loc[:, 1])


# ---------------------------------------------------------------------- DeterministicActor
def test_deterministic_actions_are_within_their_bounds():
    actor = DeterministicActor(N, D, box(), hidden=8, gain=100.0)
    action = actor(observed())["agents", "action"]
    assert not actor.actions.problem(action, "it")
    assert action[:, 1, 0].max() > 9.9


def noisy(noise, size, rows=2000, steps=1):
    """u of a noisy actor around the middle of the box, `[steps, rows, N, A]`."""
    actor = NoisyActor(DeterministicActor(N, D, box(), hidden=8, gain=1e-6), noise)
    actor.epsilon.fill_(size)
    td = observed(rows)
    actions = [actor(td)["agents", "action"].clone() for _ in range(steps)]
    return box().normalize(torch.stack(actions))


def test_gaussian_noise_has_its_size_and_no_memory():
    u = noisy("gaussian", 0.2, steps=2)[..., 1, :]
    assert u.std().item() == pytest.approx(0.2, abs=0.01)
    first, second = u.flatten(1)
    assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.05


def test_ornstein_uhlenbeck_noise_has_the_same_size_in_the_long_run_and_a_memory():
    """n_t = 0.85 n_{t−1} + ..., starting at 0."""
    u = noisy("ou", 0.2, steps=40)[..., 1, :].flatten(1)
    assert u[0].std().item() == pytest.approx(0.2 * (0.15 * 1.85) ** 0.5, abs=0.01)
    assert u[-1].std().item() == pytest.approx(0.2, abs=0.01)
    assert torch.corrcoef(u[-2:])[0, 1].item() == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize("noise", ["gaussian", "ou"])
def test_noise_stays_within_the_bounds_and_leaves_deterministic_modes_alone(noise):
    assert noisy(noise, 5.0, rows=100, steps=3).abs().max() <= 1 + 1e-6
    actor = deterministic()
    td = observed()
    explorer = NoisyActor(actor, noise)
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        assert torch.equal(
            explorer(td.clone())["agents", "action"], actor(td.clone())["agents", "action"]
        )
    assert not torch.equal(
        explorer(td.clone())["agents", "action"], actor(td.clone())["agents", "action"]
    )


def test_a_process_goes_on_from_where_it_was_saved(refused):
    first = NoisyActor(deterministic(), "ou")
    td = observed(7)
    first(td.clone())
    second = NoisyActor(first.actor, "ou")
    second.restore(first.process, [7])
    found = []
    for explorer in (first, second):
        torch.manual_seed(5)
        found.append(explorer(td.clone())["agents", "action"])
    assert torch.equal(*found)
    with refused("its entries are", "(8, 2, 2)"):
        second.restore(first.process, [8])


def test_other_noise_is_refused(refused):
    with refused("noise='pink'", "gaussian, ou"):
        NoisyActor(deterministic(), "pink")


# ---------------------------------------------------------------------- all of them
def test_random_actions_fill_the_box():
    actor = RandomActor(box())
    u = box().normalize(actor(observed(4000))["agents", "action"])
    assert u[:, 1].std(0).tolist() == pytest.approx([3**-0.5] * 2, abs=0.02)
    explorer = RandomFirst(deterministic())
    explorer.random = True
    assert box().normalize(explorer(observed(4000))["agents", "action"])[:, 0, 0].abs().max() > 0.99


@pytest.mark.parametrize("options", [*POLICIES, None], ids=str)
def test_an_actor_is_rebuilt_from_its_arguments(options):
    """As checkpoints have them: plain values."""
    settings = dict(hidden=8, activation="tanh", share=True, group="team")
    if options is None:
        actor = DeterministicActor(N, D, box(), **settings)
    else:
        actor = GaussianActor(N, D, box(), initial_scale=0.2, **settings, **options)
        assert options.items() <= actor.arguments.items()
    assert actor.arguments["low"] == LOW
    again = type(actor).rebuild(actor.arguments, actor.state_dict())
    observation = torch.randn(6, N, D)
    assert torch.equal(again.outputs(observation), actor.outputs(observation))
    assert again.arguments == actor.arguments


@pytest.mark.parametrize("make", [GaussianActor, DeterministicActor])
def test_what_does_not_fit_is_refused(make, refused):
    with refused("a Box", "found 3"):
        make(N, D, 3)
    with refused("n_agents=3", "2 agents"):
        make(3, D, box())
    with refused("masked=True is for discrete actions"):
        make(N, D, box(), masked=True)
    with refused("discrete actions", "Box"):
        CategoricalActor(N, D, box())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (dict(distribution="beta"), "normal, tanh_normal"),
        (dict(scale="none"), "shared, state"),
        (dict(initial_scale=0), "positive"),
        (dict(sigma=1), "no option 'sigma'"),
    ],
)
def test_wrong_options_are_refused(options, words, refused):
    with refused(words):
        gaussian(**options)
