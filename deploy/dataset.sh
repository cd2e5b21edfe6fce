#!/usr/bin/env bash
# The dataset, made again: MiniWoB++ (training seeds), the help desk, three explored applications, and near misses.
#
#     make dataset                    # 22,000 episodes; about an hour and a half on two cores
#     make dataset SCALE=0.01         # a small one, to see how it goes
#
# Everything lies under the state folder; killed and started again, it goes on where it was. Ends with the card.
set -euo pipefail
cd "$(dirname "$0")/.."
SCALE=${SCALE:-1}
bin=$PWD/${VENV:-.venv}/bin
export SHOPFLOOR_HOME=${SHOPFLOOR_HOME:-$PWD/.shopfloor} PYTHONPATH=$PWD
export SHOPFLOOR_SECRET_PASSWORD=${SHOPFLOOR_SECRET_PASSWORD:-library-demo} # of the sample applications only
data=$SHOPFLOOR_HOME/data
mkdir -p "$data"

many() { awk -v n="$1" -v s="$SCALE" 'BEGIN { m = int(n * s); print (m < 4 ? 4 : m) }'; }
make_() { # make_ NAME TARGET EPISODES OPTION…
  "$bin/shopfloor" generate "$2" --episodes "$(many "$3")" --workers "${WORKERS:-4}" --out "$data/$1" "${@:4}"
}

apps=()
trap 'kill "${apps[@]}" 2>/dev/null || true' EXIT
start() { # start SCRIPT PORT PATH
  "$bin/python" "benchmarks/apps/$1.py" --port "$2" >"$data/$1.log" 2>&1 &
  apps+=($!)
  for _ in $(seq 300); do
    "$bin/python" -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$2$3')" 2>/dev/null && return
    sleep 1
  done
  echo "dataset: $1 does not come up; see $data/$1.log" >&2
  exit 1
}

make_ miniwob miniwob 19000 --perturb 0.15 --shard 2500
make_ near-miss miniwob 500 --policy near-miss --shard 250
make_ helpdesk helpdesk 1380 --perturb 0.15 --shard 460

reset_of() { sed -n "s/^--reset *'\(.*\)'$/\1/p" "$data/$1.log"; }
start tables 8102 /
"$bin/shopfloor" explore http://127.0.0.1:8102/ --pages 40 --minutes 6
make_ tables http://127.0.0.1:8102/ 600 --shard 300
start library_admin 8101 /admin/
"$bin/shopfloor" explore http://127.0.0.1:8101/admin/ --sign-in benchmarks/apps/library_admin.signin \
  --allow-writes --reset "$(reset_of library_admin)" --pages 40 --minutes 12
make_ library-admin http://127.0.0.1:8101/admin/ 300 --shard 300
start tracker 8103 /
"$bin/shopfloor" explore http://127.0.0.1:8103/ --sign-in benchmarks/apps/tracker.signin \
  --allow-writes --reset "$(reset_of tracker)" --pages 40 --minutes 8
make_ tracker http://127.0.0.1:8103/ 200 --shard 200

"$bin/shopfloor" card "$data"/{miniwob,near-miss,helpdesk,tables,library-admin,tracker} >"$data/README.md"
echo "dataset: $data/README.md" >&2
