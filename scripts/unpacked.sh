#!/usr/bin/env bash
# Make a repository again of sources that CodePipeline has packed and unpacked.
#
# Its archives have no .git, by which our checks find what belongs to the project, and may have
# lost what may be executed. Run as `bash scripts/unpacked.sh` where this file has lost it too.
set -euo pipefail
cd "$(dirname "$0")/.."
chmod +x .ci/run scripts/*.sh
test -d .git || git init --quiet
git add --all
