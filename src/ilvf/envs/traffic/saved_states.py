"""States of several road networks as tensors, from which their episodes go on."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from tensordict import TensorDictBase
from torch import Tensor

from ilvf.envs.pettingzoo.env import PettingZoo
from ilvf.envs.traffic.moments import Moment
from ilvf.errors import require

SEEDS = 2**31  # SUMO's seeds are below
NONE = -1  # no new seed
MOMENTS = ("seed", "played", "phases", "noise")


class SavedStates(PettingZoo):
    """Copies whose environments are saved as `Moment`s.

    A state has these tensors, with T steps of which the first `played` count:

    | key | shape | |
    |---|---|---|
    | `seed` | `[B]` | of the episode |
    | `played` | `[B]` | steps since its begin |
    | `phases` | `[B, T, N]` | actions of these steps |
    | `noise` | `[B, T + 1]` | new seed of SUMO's generators before each step; −1: they go on |
    | `step` | `[B]` | clock, which ends the episode |
    | `return` | `[B]` | of the team so far |
    | `stream` | `[B]` | which generator the state belongs to |
    | `rng` | | the generator |

    A state that is restored with its own generator goes on exactly. With another generator, SUMO's
    generators are seeded from it. Without one they are left alone.
    """

    rng: torch.Generator

    def _set_seed(self, seed: int | None) -> None:
        super()._set_seed(seed)
        if seed is not None:
            self.rng = torch.Generator(self.device).manual_seed(seed)
            self._draw_seeds()  # so that no new generator is in this state
            self._restored: dict[str, Tensor] | None = None

    def _draw_seeds(self) -> Tensor:
        """New seeds of SUMO's generators, `[B]`."""
        size = self.batch_size
        return torch.randint(SEEDS, size, generator=self.rng, device=self.device)

    # ------------------------------------------------------------------ save
    def get_state(self) -> dict[str, Tensor]:
        """The present moments and the generator's state ("rng"): enough to continue bit-exactly."""
        moments = self.copies.save()
        longest = max(len(moment.moves) for moment in moments)
        steps = self.horizon * max(1, -(-longest // self.horizon))
        rows = [self._row(moment, steps) for moment in moments]
        state = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        rng = self.rng.get_state()
        state["stream"] = np.full(len(moments), fingerprint(rng))
        tensors = {name: torch.from_numpy(x).to(self.device) for name, x in state.items()}
        return {**tensors, "return": self.team_returns, "rng": rng}

    def _row(self, moment: Moment, steps: int) -> dict[str, np.ndarray]:
        """The arrays of one moment, with room for so many steps."""
        played = len(moment.moves)
        phases = np.zeros((steps, self.n_agents), np.int16)
        noise = np.full(steps + 1, NONE)
        for t, (seed, chosen) in enumerate(moment.moves):
            phases[t] = chosen
            noise[t] = number_of(seed)
        noise[played] = number_of(moment.noise)
        return {
            "seed": np.array(moment.seed),
            "played": np.array(played),
            "phases": phases,
            "noise": noise,
            "step": np.array(moment.clock),
        }

    # ------------------------------------------------------------------ restore
    def set_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `get_state` returned; the next full reset starts in these moments.

        Args:
            state: without `step` and `return` an episode starts in these moments.

        Raises:
            UsageError: the state is of another number of copies, or of other signals.
        """
        self._require_fitting(state)
        saved = {name: x.cpu() for name, x in state.items() if name != "rng"}
        if "rng" in state:
            saved["noise"] = self._with_generator(saved, state["rng"])
        self._restored = saved

    def _require_fitting(self, state: Mapping[str, Tensor]) -> None:
        """Raise unless a state is of as many copies, and of these signals."""
        copies = self.batch_size[0]
        missing = [name for name in MOMENTS if name not in state]
        require(not missing, f"the saved state lacks {', '.join(missing)}: it is none of traffic")
        sizes = sorted({len(x) for name, x in state.items() if name != "rng"})
        require(
            sizes == [copies],
            f"the saved state is of {sizes} environments, this one has {copies}",
        )
        steps = state["noise"].shape[1] - 1
        phases = state["phases"].cpu().numpy()
        known = phases.shape == (copies, steps, self.n_agents)
        known = known and bool(((phases >= 0) & (phases < self.action_counts[:, None])).all())
        played = state["played"]
        require(
            known and bool(((played >= 0) & (played <= steps)).all()),
            f"the saved state is not of these {self.n_agents} signals and their phases",
        )

    def _with_generator(self, saved: Mapping[str, Tensor], rng: Tensor) -> Tensor:
        """Set the generator. `noise` with new seeds for the copies that had another generator."""
        need = self.rng.get_state().numel()
        require(
            rng.numel() == need,
            f"the saved state's generator has {rng.numel()} bytes, one on {self.device} has "
            f"{need}: it was saved on another kind of device; leave out its 'rng'",
        )
        self.rng.set_state(rng.cpu())
        noise = saved["noise"].clone()
        other = saved.get("stream", torch.zeros_like(saved["seed"])) != fingerprint(rng)
        if other.any():
            rows = other.nonzero().squeeze(-1)
            noise[rows, saved["played"][rows]] = self._draw_seeds().cpu()[rows]
        return noise

    def _reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
        is_full = tensordict is None or tensordict.get("_reset", None) is None
        if not is_full or self._restored is None:
            return super()._reset(tensordict)
        state, self._restored = self._restored, None
        zero = torch.zeros(self.batch_size)
        clocks = state.get("step", zero)
        moments = moments_of(state, clocks.tolist())
        return self.restore_copies(moments, clocks.numpy(), state.get("return", zero).numpy())


def moments_of(state: Mapping[str, Tensor], clocks: Sequence[float]) -> list[Moment]:
    """The moments of a state."""
    found = []
    columns = [state[name].tolist() for name in ("seed", "played", "noise")]
    for seed, played, noise, phases, clock in zip(*columns, state["phases"], clocks, strict=True):
        seeds = [seed_of(number) for number in noise[: played + 1]]
        chosen = map(tuple, phases[:played].tolist())
        found.append(Moment(seed, tuple(zip(seeds, chosen, strict=False)), seeds[-1], int(clock)))
    return found


def number_of(seed: int | None) -> int:
    """A seed as it is stored."""
    return NONE if seed is None else seed


def seed_of(number: int) -> int | None:
    """The seed that is stored as a number."""
    return None if number == NONE else number


def fingerprint(rng: Tensor) -> int:
    """A number that tells the states of generators apart."""
    digest = hashlib.blake2b(rng.cpu().numpy().tobytes(), digest_size=7).digest()
    return int.from_bytes(digest)
