"""Floor 2: what remembers across steps without gradients."""
