"""From the corpus to batches: what is trained on, decoded once and drawn by seed."""
