#!/usr/bin/env bash
# An environment for TorchServe, beside ours so that nobody else gets it: TorchServe and its archiver, which see the
# packages of this repository's environment (setup.sh) through a .pth file. It needs Java, 11 or newer.
#
#     bash deploy/torchserve/setup.sh                    # once
#     bash deploy/torchserve/setup.sh archive [FOLDER]   # a model's folder as an archive (default: the released one)
#     bash deploy/torchserve/setup.sh serve              # http://127.0.0.1:8080/predictions/shopfloor
#
# Archive and log lie in SHOPFLOOR_HOME/torchserve, as does key_file.json with the tokens that requests need.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
here=$root/deploy/torchserve
state=${SHOPFLOOR_HOME:-$root/.shopfloor}/torchserve
ours=$root/.venv/bin/python

if ! command -v java >/dev/null; then
  echo "setup: TorchServe needs Java; as root: apt-get install openjdk-17-jre-headless" >&2
  exit 2
fi
if [ ! -x "$ours" ]; then
  echo "setup: run ./setup.sh first" >&2
  exit 2
fi
if [ ! -x "$here/.venv/bin/torchserve" ]; then
  "$ours" -m venv "$here/.venv"
  "$here/.venv/bin/pip" install --disable-pip-version-check --quiet --no-deps --requirement "$here/requirements.txt"
  pure='import sysconfig; print(sysconfig.get_path("purelib"))'
  "$ours" -c "$pure" >"$("$here/.venv/bin/python" -c "$pure")/shopfloor.pth"
fi
PATH=$here/.venv/bin:$PATH
export PYTHONPATH=$root HF_HUB_OFFLINE=1
mkdir -p "$state"

case ${1:-} in
archive)
  model=$(cd "${2:-$root/models/nano}" && pwd)
  inside=$(mktemp -d) # the model's folder with its name, which the archiver would leave out
  trap 'rm -rf "$inside"' EXIT
  cp -RL "$model" "$inside/"
  torch-model-archiver --model-name shopfloor --version 1.0 --handler "$here/handler.py" \
    --config-file "$here/model.yaml" --extra-files "$inside" --export-path "$state" --force
  ;;
serve)
  cd "$state"
  exec torchserve --start --foreground --model-store "$state" --ts-config "$here/config.properties"
  ;;
esac
