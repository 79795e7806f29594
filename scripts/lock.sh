#!/usr/bin/env bash
# Writes the lock files from pyproject.toml: pinned versions with hashes, no word about where they come from.
#   requirements-build.lock  what builds and installs the project itself
#   requirements.lock        what the server runs on
#   requirements-dev.lock    the same versions, and what tests, lint and fuzzing need
set -euo pipefail
cd "$(dirname "$0")/.."

uv=.install/uv
if [ ! -x $uv/bin/uv ]; then
  .venv/bin/python -m venv $uv
  $uv/bin/python -m pip --quiet --disable-pip-version-check install uv
fi
# Extras stay in the lines (coverage[toml]==…): for a line without them pip takes the newest release it finds, and
# refuses it because it is not the pinned one.
compile() {
  $uv/bin/uv pip compile --quiet --generate-hashes --no-strip-extras --no-header --no-emit-index-url --no-emit-find-links \
    --python-version 3.11 --upgrade "$@"
}
printf '%s\n' 'hatchling==1.27.0' 'editables' | compile - --output-file requirements-build.lock
compile pyproject.toml --output-file requirements.lock
compile pyproject.toml --all-extras --constraint requirements.lock --output-file requirements-dev.lock
