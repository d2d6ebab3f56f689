"""Runs of seconds that the drills interrupt."""

from dataclasses import dataclass
from pathlib import Path

from drills.outcome import Record, Setting
from drills.program import Program, wait_for
from drills.recorded import Reference, count_rows, folder_with_store, run_folders

SHARED = (
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=7",  # episodes do not end with the rollout
    "algorithm.hidden=8",
    "algorithm.eval_episodes=3",
    "trainer.progress=false",
    "trainer.accelerator=cpu",
)
ON_POLICY = ("algorithm.epochs=2", "algorithm.minibatches=2")
OFF_POLICY = (
    "algorithm.capacity=140",  # five rollouts: the ring is full after five iterations
    "algorithm.batch_size=16",
    "algorithm.updates=4",
    "algorithm.warmup=56",
    "algorithm.epsilon_frames=200",
)
SIZES = {"ilvf_p": (*SHARED, *ON_POLICY), "qmix": (*SHARED, *OFF_POLICY)}
FRAMES = 28  # of an iteration


@dataclass(frozen=True)
class Kind:
    """A run of some iterations.

    Attributes:
        algorithm: its name.
        iterations: its length.
        eval_every: iterations between evaluations, which also draw pictures.
    """

    algorithm: str = "ilvf_p"
    iterations: int = 12
    eval_every: int = 5

    def arguments(self, setting: Setting, out: Path) -> list[str]:
        """Of the command line, for a new run below `out`."""
        lengths = [
            f"trainer.max_epochs={self.iterations}",
            f"algorithm.eval_every={self.eval_every}",
        ]
        place = [f"seed={setting.seed}", f"out={out}"]
        return ["train", self.algorithm, *SIZES[self.algorithm], *lengths, *place]

    def start(self, setting: Setting, out: Path, **options: object) -> Program:
        """A new run below `out`."""
        return Program(self.arguments(setting, out), out.parent / "first.log", **options)

    def resume(self, out: Path, name: str = "resumed", **options: object) -> Program:
        """The newest run below `out`, until its end."""
        arguments = ["train", self.algorithm, "resume=last", f"out={out}"]
        return Program(arguments, out.parent / f"{name}.log", **options)


class Runs:
    """Makes the empty store and the uninterrupted runs once, when they are needed."""

    def __init__(self, setting: Setting):
        self.setting = setting
        self._references: dict[Kind, tuple[Reference, float]] = {}

    @property
    def store(self) -> Path:
        """An empty store that is migrated already, which takes ten seconds."""
        from mlflow.tracking import MlflowClient

        path = self.setting.folder / "template" / "mlflow.db"
        if not path.exists():
            path.parent.mkdir()
            MlflowClient(f"sqlite:///{path}").search_experiments()
        return path

    def new(self, name: str) -> Path:
        """An empty folder for runs, with a store; the logs of programs go beside it."""
        return folder_with_store(self.setting.new_folder(name) / "runs", self.store)

    def reference(self, kind: Kind) -> Reference:
        """The uninterrupted run of a kind."""
        return self._made(kind)[0]

    def seconds(self, kind: Kind) -> float:
        """That an iteration of it took [s]."""
        return self._made(kind)[1]

    def folder(self, kind: Kind) -> Path:
        """The folder of the uninterrupted run of a kind; copy it, do not change it."""
        self._made(kind)
        return run_folders(self._out(kind))[0]

    def _out(self, kind: Kind) -> Path:
        name = f"reference-{kind.algorithm}-{kind.iterations}-{kind.eval_every}"
        return self.setting.folder / name / "runs"

    def _made(self, kind: Kind) -> tuple[Reference, float]:
        if kind not in self._references:
            out = self.new(self._out(kind).parent.name)
            program = kind.start(self.setting, out)
            code = program.wait()
            if code != 0:
                raise RuntimeError(f"{program.command} failed: {program.output}")
            reference = Reference.of(run_folders(out)[0])
            wall = reference.rows[-1]["time/wall_s"] / kind.iterations
            self._references[kind] = (reference, wall)
        return self._references[kind]


def wait_for_rows(program: Program, out: Path, count: int, record: Record) -> bool:
    """Wait until `count` iterations are logged below `out`; whether they are."""
    reached = wait_for(lambda: count_rows(out) >= count, program, 120.0)
    ended = f"ended with {program.code} before iteration {count}: {program.output[-400:]}"
    return record.require(reached, ended)
