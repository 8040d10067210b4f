"""The augmentation policies of the papers, one views class a file."""
