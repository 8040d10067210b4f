"""Floor 3: what leaves the lab."""
