#!/usr/bin/env bash
# An environment for BentoML, beside ours because its pins clash: it wants OpenTelemetry's semantic conventions and
# instrumentation of one beta, and a newer certifi.
#
#     bash deploy/bentoml/setup.sh           # once
#     bash deploy/bentoml/setup.sh serve     # and the service, at http://127.0.0.1:3000/v1
set -euo pipefail
cd "$(dirname "$0")"
export BENTOML_DO_NOT_TRACK=true # nothing is sent anywhere

if ! .venv/bin/bentoml --version >/dev/null 2>&1; then
  "${PYTHON:-python3}" -m venv .venv
  pins=$(mktemp)
  trap 'rm -f "$pins"' EXIT
  grep --invert-match --extended-regexp '^(opentelemetry|certifi|wrapt)' ../../constraints.txt >"$pins"
  .venv/bin/pip install --disable-pip-version-check --quiet --constraint "$pins" --requirement requirements.txt
fi
if [ "${1:-}" = serve ]; then
  exec .venv/bin/bentoml serve service:Shopfloor --host "${HOST:-127.0.0.1}" --port "${PORT:-3000}"
fi
