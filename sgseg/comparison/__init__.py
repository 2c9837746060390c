"""Comparisons around a trained model, and the tables of the paper."""

from .baselines import Baselines, measure_baselines
from .compose import Data
from .correlation import correlate
from .demo import run_demo
from .jobs import Jobs
from .rows import load_table
from .tables import Request, entries, plan, reproduce, row_configs, time_table

__all__ = [
    "Baselines",
    "Data",
    "Jobs",
    "Request",
    "correlate",
    "entries",
    "load_table",
    "measure_baselines",
    "plan",
    "reproduce",
    "row_configs",
    "run_demo",
    "time_table",
]
