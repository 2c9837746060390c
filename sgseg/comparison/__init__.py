"""Comparisons around a trained model, and the tables of the paper."""

from .baselines import Baselines, measure_baselines
from .demo import run_demo
from .rows import load_table
from .tables import Request, reproduce

__all__ = ["Baselines", "Request", "load_table", "measure_baselines", "reproduce", "run_demo"]
