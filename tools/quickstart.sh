#!/usr/bin/env bash
# A first result in minutes: installs the project into .venv, trains SimCLR on the
# embedded data set, scores it beside two baselines, and exports the encoder.
# Arguments go to the trainer: tools/quickstart.sh --seed=1 --run_dir=runs/second
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install ""
cd "$root"
exec .venv/bin/python tools/train.py "$@"
