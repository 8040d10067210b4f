"""The roof: absl binaries. Flags live here and nowhere else."""
