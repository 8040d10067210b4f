"""Views of images: deterministic operations, random steps and whole policies."""
