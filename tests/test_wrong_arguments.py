"""Each public constructor and function answers a wrong argument with one sentence.

`PUBLIC` has valid arguments of each public name of `ilvf.credit`, `ilvf.modules` and `ilvf.losses`,
and of environments, `make_env`, `load_policy` and `Experiment`, and the kind of each argument. The
tests replace one at a time by values that are wrong for its kind.
"""

import inspect

import pytest

import ilvf
from credit_helpers import A, D, N, gae, influence_values
from ilvf import credit, losses, modules
from ilvf.errors import UsageError
from public_arguments import PUBLIC, WRONG, actor, critic

PACKAGES = (credit, modules, losses)
RIGHT = [  # (name, argument, value as text): values that are right after all
    ("gumbel_sigmoid", "logits", "tensor(1.)"),
    ("force_diagonal", "influence", "tensor([], size=(0, 0))"),
    ("ScoreInfluence", "n_agents", "None"),
    ("ILVFAdvantage", "device", "None"),
    ("GumbelAttention", "candidates", "None"),
    ("PettingZoo", "horizon", "None"),
    ("Gymnasium", "horizon", "None"),
]
NOT_MADE = ("InfluenceSource", "load_policy")  # one is abstract, the other needs a checkpoint


def public(name):
    """The class or function of a name."""
    for package in (*PACKAGES, ilvf):
        if name in dir(package):
            return getattr(package, name)
    raise KeyError(name)


def parameters_of(name):
    """The parameters of a constructor or function, without self."""
    found = public(name)
    if not inspect.isclass(found):
        return list(inspect.signature(found).parameters.values())
    return list(inspect.signature(found.__init__).parameters.values())[1:]


def takes_options(name):
    """Does it have `**options`?"""
    return any(p.kind == p.VAR_KEYWORD for p in parameters_of(name))


def cases():
    """(name, argument, wrong value) of all arguments."""
    for name, (_, kinds) in PUBLIC.items():
        for argument, kind in kinds.items():
            for one in [kind] if isinstance(kind, str) else kind:
                for value in WRONG.get(one, ()):
                    if (name, argument, repr(value)) not in RIGHT:
                        yield name, argument, value


def one_line(value):
    """A part of a test's name, the same in every process: objects show addresses."""
    plain = isinstance(value, str | int | float | list | tuple | dict | type)
    text = str(value) if plain or value is None else type(value).__name__
    return "object" if " at 0x" in text else " ".join(text.split())[:30]


def told(call, *arguments, **options):
    """The sentence with which a call is refused; None if it is accepted."""
    try:
        call(*arguments, **options)
    except UsageError as error:
        return str(error)
    return None


def test_all_public_names_are_here():
    names = {name for package in PACKAGES for name in package.__all__}
    assert names <= set(PUBLIC)
    assert set(PUBLIC) <= names | set(ilvf.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_all_arguments_are_here_and_the_valid_ones_are_accepted(name):
    valid, kinds = PUBLIC[name]
    parameters = parameters_of(name)
    named = {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    assert named == set(kinds) or (takes_options(name) and named < set(kinds))
    if name not in NOT_MADE:
        public(name)(**valid)


@pytest.mark.parametrize(("name", "argument", "value"), list(cases()), ids=one_line)
def test_a_wrong_argument_is_one_sentence(name, argument, value):
    valid, _ = PUBLIC[name]
    sentence = told(public(name), **{**valid, argument: value})
    assert sentence is not None, "it was accepted"
    assert "\n" not in sentence
    assert len(sentence) < 500


@pytest.mark.parametrize(
    "name", [n for n in PUBLIC if n not in ("InfluenceSource", "Soft", "Actions")]
)
def test_an_unknown_option_is_named(name):
    valid, _ = PUBLIC[name]
    if takes_options(name):
        with pytest.raises(UsageError, match="nonsense"):
            public(name)(**valid, nonsense=1)
    else:
        with pytest.raises(TypeError, match="nonsense"):
            public(name)(**valid, nonsense=1)


def test_swapped_arguments_are_named():
    for call in (
        lambda: credit.ILVFAdvantage(influence_values(), gae()),
        lambda: losses.PPOLoss(critic(), actor()),
        lambda: losses.ActionValueLoss(critic().value_module()),
        lambda: losses.QMIXLoss(modules.Mixer("vdn", N, D), modules.GreedyActor(N, D, A)),
        lambda: modules.Mixer(N, "qmix", D),
    ):
        assert told(call) is not None
