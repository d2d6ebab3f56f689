"""A tabular game as text."""

from torch import Tensor

from ilvf.envs.tabular.theory import TabularGame


def describe(game: TabularGame) -> str:
    """Values and influence sets of the first game, one line per joint state."""
    state_width = 2 + 2 * game.n_agents
    value_width = 9 * game.n_agents
    lines = [
        "  s".ljust(2 + state_width) + "V_i(s)".ljust(value_width) + "  who moves whose return"
    ]
    tables = zip(game.local_states.tolist(), game.values()[0], game.influence()[0], strict=True)
    for state, values, influence in tables:
        s = " ".join(map(str, state)).ljust(state_width)
        v = "".join(f"{value:9.3f}" for value in values.tolist())
        lines.append(f"  {s}{v}  {_sets(influence)}")
    return "\n".join(lines)


def _sets(influence: Tensor) -> str:
    """Influence sets in short: "0→01, 1→1" for bool `[N, N]`."""
    sets = []
    for i, row in enumerate(influence):
        members = row.nonzero().flatten().tolist()
        sets.append(f"{i}→{''.join(map(str, members))}")
    return ", ".join(sets)
