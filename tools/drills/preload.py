"""What the server of `program.py` imports once for all programs."""

import importlib

import ilvf
from ilvf.algorithms.options import CLASSES

MODULES = (
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracking",
    "ilvf.commands.cli",
    "ilvf.experiment.run",
    "ilvf.reports.pictures",
)

for _module in MODULES:
    importlib.import_module(_module)
for _name in CLASSES:
    getattr(ilvf, _name)  # imports the algorithm
