#!/usr/bin/env bash
# Make the virtual environment $VENV with the pinned, hashed packages of the file given.
set -euo pipefail

requirements=$1
: "${PYTHON3:?}" "${VENV:?}"

fail() { echo "setup: $*" >&2; exit 1; }

command -v "$PYTHON3" >/dev/null || fail "$PYTHON3 not found; install Python 3.11 or newer, or say make setup PYTHON3=/path/to/python3"
"$PYTHON3" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$PYTHON3" --version) is too old; Python 3.11 or newer is needed (make setup PYTHON3=python3.13)"
"$PYTHON3" -c 'import ensurepip' 2>/dev/null ||
  fail "$PYTHON3 has no ensurepip; on Debian: apt-get install python3-venv"

echo "Setting up $VENV from $requirements (a minute or two the first time)"
[ -x "$VENV/bin/python" ] || "$PYTHON3" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$requirements" ||
  fail "the packages could not be installed; is a package registry reachable?"
