"""The progress of several runs: a bar for each, from the metrics in its folder."""

from collections.abc import Collection, Mapping
from pathlib import Path

from tqdm.auto import tqdm

from ilvf.experiment.jobs import Job
from ilvf.experiment.metrics_file import METRICS, last_row

RETURNS = ("eval/return/team", "return/team", "reward/agent_step")  # the first that is known


class SeedBars:
    """One bar over the frames of each run, with its last return.

    Args:
        folders: job → folder of its run.
        frames: of each run at its end.
    """

    def __init__(self, folders: Mapping[Job, Path], frames: int):
        self.folders = folders
        self.frames = frames
        self.bars: dict[Job, tqdm] = {}
        self._shown: dict[Job, float] = {}  # job → frames that the bar shows

    def show(self, running: Collection[Job]) -> None:
        """Bring the bars of the running jobs up to date, and close the others."""
        for job in running:
            if job not in self.bars:
                self.bars[job] = self._new_bar(job)
        for job, bar in self.bars.items():
            if not bar.disable:
                self._update(job, bar)
            if job not in running:
                bar.close()

    def _new_bar(self, job: Job) -> tqdm:
        tqdm.write(f"{name_of(job)}: {job.log}")
        return tqdm(total=self.frames, desc=name_of(job), unit=" frames", unit_scale=True)

    def _update(self, job: Job, bar: tqdm) -> None:
        """Show the last row of a run; the values of a run that has not begun are unknown."""
        row = last_row(self.folders[job] / METRICS)
        if row is None or row["frames"] == self._shown.get(job):
            return
        self._shown[job] = row["frames"]
        known = [name for name in RETURNS if name in row]
        if known:
            bar.set_postfix_str(f"{known[0]} {row[known[0]]:.4g}", refresh=False)
        bar.update(row["frames"] - bar.n)


def name_of(job: Job) -> str:
    """`s3` of the log `...-s3.log`."""
    return job.name.rpartition("-")[2]
