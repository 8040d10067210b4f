"""The embedded data set: drawn scenes with exact truth, made without download."""
