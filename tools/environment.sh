# Sourced by quickstart.sh and test.sh: makes or reuses .venv in the clone, and installs
# the project in it. Takes the extras to install, such as "[test]".

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

find_python() {
  local name
  for name in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  echo "error: needs Python 3.11, 3.12 or 3.13 with venv; on Debian or Ubuntu:" \
    "apt-get install python3 python3-venv. Or name one: PYTHON=/path/to/python $0" >&2
  return 1
}

install() {
  local extras=$1 venv="$root/.venv" stamp python
  stamp="$venv/.installed_$(echo "$extras" | tr -dc a-z)"
  if [ -x "$venv/bin/python" ] && [ "$stamp" -nt "$root/setup.cfg" ]; then
    echo "Using $venv."
    return
  fi
  if [ ! -x "$venv/bin/python" ]; then
    python=$(find_python)
    echo "Making $venv with $("$python" --version)."
    "$python" -m venv "$venv"
  fi
  echo "Installing keras_ssl$extras and what it needs (the first time some minutes)."
  "$venv/bin/python" -m pip install --quiet --upgrade pip
  # setuptools warns of any editable installation; that is no concern here.
  PYTHONWARNINGS=ignore "$venv/bin/python" -m pip install --quiet \
    --editable "$root$extras"
  touch "$stamp"
}
