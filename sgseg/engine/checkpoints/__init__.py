"""Checkpoints: written whole, opened safely, and gone on from."""
