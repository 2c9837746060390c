"""Comparisons around a trained model."""

from .baselines import Baselines, measure_baselines
from .demo import run_demo

__all__ = ["Baselines", "measure_baselines", "run_demo"]
