"""Options of reports that studies have too. Imports nothing heavy."""

from dataclasses import dataclass

from ilvf.errors import UsageError, require
from ilvf.experiment.options import MOST_THREADS
from ilvf.options import Options, option

MOST = 10**9  # states, episodes, futures, steps that a command is asked for


@dataclass
class InfluenceOptions(Options):
    """Moments of an episode and experiments at them, see `ilvf influence`."""

    moments: str = option("0.2,0.5,0.95", "parts of the episode at which matrices are drawn")
    episodes: int = option(
        32, "episodes that matrices and curves are averaged over", least=2, most=MOST
    )
    measure: bool | None = option(
        None,
        "measure the influence at these moments by intervention, where states can be set; null: "
        "not on SUMO, where it takes long",
    )
    actions: int = option(
        2, "joint first actions drawn in every state of the measurement", least=2, most=MOST
    )
    repeats: int = option(4, "futures of each", least=2, most=MOST)
    steps: int | None = option(
        None, "length of their returns; null: an episode's, on SUMO 12", least=1, most=MOST
    )
    gamma: float | None = option(None, "their discount, by default the run's", least=0, most=1)
    batch: int | None = option(
        None,
        "environments stepped at once; null: 1024, on SUMO four for each core",
        least=1,
        most=MOST,
    )
    threads: int = option(
        1, "threads of torch; 0 leaves the choice to it", least=0, most=MOST_THREADS
    )

    def check(self) -> None:
        super().check()
        read_moments(self.moments)


def read_moments(text: str) -> list[float]:
    """`0.2,0.5,0.95` as numbers in [0, 1], ascending.

    Raises:
        UsageError: the text is no list of such numbers.
    """
    try:
        moments = [float(word) for word in text.strip("[]").split(",")]
    except ValueError as error:
        raise UsageError(
            f"moments={text!r} must be numbers in [0, 1], such as 0.2,0.5,0.95"
        ) from error
    require(
        all(0 <= moment <= 1 for moment in moments),
        f"moments={text!r} must be in [0, 1], parts of an episode",
    )
    return sorted(set(moments))
