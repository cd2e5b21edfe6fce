#!/usr/bin/env bash
# An environment for Prefect, beside ours because its pins clash (websockets < 17 and fastapi < 0.153, against
# what the server and Chroma have here).
#
#     bash deploy/prefect/setup.sh           # once; then: shopfloor line --prefect
#     bash deploy/prefect/setup.sh server    # and Prefect's UI at http://127.0.0.1:4200
set -euo pipefail
# Where `shopfloor line --prefect` keeps its runs, seen from the folder that this is called in.
PREFECT_HOME=$(realpath -m "${PREFECT_HOME:-${SHOPFLOOR_HOME:-.shopfloor}/prefect}")
export PREFECT_HOME
cd "$(dirname "$0")"
# Nothing is sent anywhere.
export DO_NOT_TRACK=1 PREFECT_SERVER_ANALYTICS_ENABLED=false

if [ ! -x .venv/bin/prefect ]; then
  "${PYTHON:-python3}" -m venv .venv
  .venv/bin/pip install --disable-pip-version-check --quiet --requirement requirements.txt
fi
if [ "${1:-}" = server ]; then
  exec .venv/bin/prefect server start --host "${HOST:-127.0.0.1}" --port "${PORT:-4200}"
fi
