"""Training and evaluation of a config, as functions."""

from .config import build_config
from .run import evaluate, train
from .saved import config_for

__all__ = ["build_config", "config_for", "evaluate", "train"]
