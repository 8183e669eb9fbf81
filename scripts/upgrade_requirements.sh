#!/usr/bin/env bash
# Resolve setup.cfg's extras into requirements/*.txt: one file for each image, one for everything.
# Universal (any Python from 3.11), pinned with hashes, and silent about where packages came from.
set -euo pipefail

cd "$(dirname "$0")/.."
workshop=$(mktemp -d)
trap 'rm -rf "$workshop"' EXIT
"${PYTHON3:-python3}" -m venv "$workshop"
"$workshop/bin/python" -m pip install --quiet uv

resolve() {
  local name=$1
  shift
  compile "$name" setup.cfg "$@"
}

compile() {
  local name=$1
  shift
  "$workshop/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --no-header \
    --output-file "requirements/$name.txt" "$@"
  echo "requirements/$name.txt: $(grep -c '==' "requirements/$name.txt") packages"
}

# The images take their versions from what the tests ran with.
resolve development --all-extras
resolve cp-backend --extra cp_backend --constraint requirements/development.txt
# The operator's commands are in this one: a change of theirs must not disconnect charging points.
resolve third-party-backend --extra third_party_backend --extra operations \
  --constraint requirements/development.txt
resolve operations --extra operations --constraint requirements/development.txt
# Not in development.txt: it pins what it needs so narrowly that the two do not agree.
compile checkov - <<<checkov

# What a node is held against by `make compare-peers`; no part of the product depends on it.
printf '%s\n' aiohttp ocpp picows uvloop websockets > "$workshop/peers.in"
"$workshop/bin/uv" pip compile "$workshop/peers.in" --quiet --upgrade --universal \
  --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
  --constraint requirements/development.txt --output-file requirements/peers.txt
echo "requirements/peers.txt: $(grep -c '==' requirements/peers.txt) packages"
