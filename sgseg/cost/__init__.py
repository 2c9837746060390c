"""What a config costs: memory, seconds and arithmetic of a training step and a prediction."""
