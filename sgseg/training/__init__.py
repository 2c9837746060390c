"""A config from its file, its training, and the test of a checkpoint."""

from .config import build_config
from .run import test, train
from .saved import config_for

__all__ = ["build_config", "config_for", "test", "train"]
