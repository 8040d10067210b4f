#!/usr/bin/env bash
# Checks style and types and runs the fast suite in .venv, which it makes if need be.
# Arguments go to pytest: tools/test.sh --slow; tools/test.sh tests/core -k registry
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install "[dev]"
cd "$root"
export PATH="$root/.venv/bin:$PATH"
if [ "$*" = "" ] || [ "$*" = "--slow" ]; then
  echo "Style and types."
  ruff format --check --quiet .
  ruff check --quiet .
  mypy --no-error-summary
fi
echo "Tests."
exec python -m pytest -q --numprocesses=2 --dist=loadfile "$@"
