"""Floor 5: what a binary starts, free of flags."""
