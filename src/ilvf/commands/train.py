"""`ilvf train ALGORITHM`, and what each training recipe calls."""

from collections.abc import Sequence

from ilvf.algorithms.options import ALGORITHMS, name_of
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.options import training_schema
from ilvf.experiment.variables import require_launched
from ilvf.options import shown
from ilvf.plugins import ALGORITHMS as PLUGINS
from ilvf.plugins import registered
from ilvf.starting import starting

EXAMPLES = """
ilvf train {name} env.n_agents=10 trainer.max_epochs=50
ilvf train {name} seeds=0-4                              five seeds, one per core at a time
ilvf train {name} preset=paper                           Table 1 of the paper
ilvf train {name} resume=last trainer.max_epochs=60      continue the newest run
"""


def train_algorithm(
    name: str, doc: str | None = None, arguments: Sequence[str] | None = None
) -> None:
    """Train the algorithm `name` as the arguments say.

    Args:
        name: a declared algorithm (`ilvf.algorithms.options`).
        doc: first lines of the help page; by default what the algorithm is, and examples.
        arguments: `key=value`, `--help` or `--cfg`; by default the process's.
    """
    schema = training_schema(name, doc)
    if doc is None:
        schema.doc = f"{schema.doc}\n{EXAMPLES.format(name=name)}"
    config = command_line(schema, arguments)
    require_launched()
    with starting():
        from ilvf.experiment.run import train
        from ilvf.reports.pictures import pictures_of

    train(config, [pictures_of(config)])


def main(arguments: Sequence[str]) -> None:
    """`ilvf train ALGORITHM key=value ...`"""
    if not arguments or arguments[0] in ("--help", "-h"):
        print(help_page())
        return
    name, *rest = arguments
    require(
        not name.startswith("-") and "=" not in name,
        f"ilvf train needs an algorithm before {shown(name)}: one of {', '.join(ALGORITHMS)}",
    )
    train_algorithm(name_of(name), arguments=rest)


def help_page() -> str:
    """The algorithms."""
    meanings = {name: f"{config.__doc__}" for name, config in ALGORITHMS.items()}
    for name, reference in registered(PLUGINS).items():
        meanings.setdefault(name, f"of another package: {reference}")
    width = max(map(len, meanings))
    lines = ["Train an algorithm: ilvf train ALGORITHM key=value ...", ""]
    lines += [f"  {name:<{width}}  {meaning}" for name, meaning in meanings.items()]
    lines += ["", "An algorithm of your own is package.module:CONFIG, or a registered name."]
    lines += ["", "ilvf train ALGORITHM --help lists all keys; --cfg prints the resolved config."]
    return "\n".join(lines)
