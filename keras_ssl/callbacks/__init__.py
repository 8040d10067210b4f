"""Floor 4: what watches a run."""
