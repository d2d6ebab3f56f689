"""What the server of `program.py` imports once for all programs."""

import mlflow.store.tracking.sqlalchemy_store
import mlflow.tracking

import ilvf
import ilvf.commands.cli
import ilvf.experiment.run
import ilvf.reports.pictures
from ilvf.algorithms.options import CLASSES

for _name in CLASSES:
    getattr(ilvf, _name)  # imports the algorithm
