"""The estimate of what networks need is not above what they have."""

import pytest

from ilvf.experiment.build import build, environment_factory
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.sizes import BYTES, COPIES, network_bytes

CASES = [
    ("ilvf_s", ()),
    ("ilvf_s", ("algorithm.neighbours=3",)),
    ("ilvf_s", ("algorithm.neighbours=99",)),
    ("ilvf_s", ("algorithm.neighbours=3", "algorithm.neighbours_by=attention")),
    ("ilvf_s", ("algorithm.shared_first=true",)),
    ("ilvf_p", ("algorithm.neighbours=3",)),
    ("ippo", ()),
    ("ippo", ("algorithm.critic=state",)),
]


@pytest.mark.parametrize(("recipe", "arguments"), CASES)
@pytest.mark.parametrize("share", ["true", "false"])
def test_networks_have_at_least_what_is_estimated(recipe, arguments, share):
    given = ["env.n_agents=20", f"algorithm.share={share}", *arguments]
    config = resolve(training_schema(recipe), given)
    env = environment_factory(config)(num_envs=1, seed=0)
    parameters = sum(p.numel() for p in build(config).parameters())
    estimate = network_bytes(config, env) / BYTES / COPIES
    assert estimate <= parameters


def test_neighbours_need_less():
    """Of 20 agents each of the 20 critics sees 4: 16 states of 6 numbers less, 64 units."""
    found = []
    for more in ((), ("algorithm.neighbours=3",)):
        config = resolve(training_schema("ilvf_s"), ["env.n_agents=20", *more])
        env = environment_factory(config)(num_envs=1, seed=0)
        found.append(network_bytes(config, env))
    assert found[0] - found[1] == 20 * 16 * 6 * 64 * BYTES * COPIES
