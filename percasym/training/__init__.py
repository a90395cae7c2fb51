"""What every training has in common: a model that is trained, steps, checkpoints, a log, ranks."""
