#!/usr/bin/env bash
# The model, made from nothing by the whole recipe, on the hardware that is there.
#
#     make model                          # two cores: nano, four hours; one GPU: micro, half an hour
#     make model SIZE=tiny MINUTES=4      # to see how it goes
#
# Pretraining on drawn screens, then on recorded pages too, then a round on its own successes; the result is
# measured on held-out tasks and becomes the champion if it is better. Wants a dataset: `make dataset`; makes a small
# one where there is none. Killed and started again with the same words, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$PWD/${VENV:-.venv}/bin
export SHOPFLOOR_HOME=${SHOPFLOOR_HOME:-$PWD/.shopfloor} PYTHONPATH=$PWD
gpu=$("$bin/python" -c 'import torch; print(int(torch.cuda.is_available()))')
cores=$(nproc)
if [ "$gpu" = 1 ]; then
  SIZE=${SIZE:-micro} MINUTES=${MINUTES:-30}
  batch=32 train=("$bin/shopfloor" train pretrain --workers "$((cores > 2 ? cores - 2 : 1))")
else
  SIZE=${SIZE:-nano} MINUTES=${MINUTES:-240}
  # A process of one thread for each core: they meet once a step instead of at every operation.
  export OMP_NUM_THREADS=1
  batch=8 train=("$bin/torchrun" --standalone --nproc-per-node "$cores" --no-python "$bin/shopfloor" train pretrain)
fi
share() { awk -v m="$MINUTES" -v s="$1" 'BEGIN { print m * s }'; }
runs=$SHOPFLOOR_HOME/runs/$SIZE-$MINUTES

ls "$SHOPFLOOR_HOME"/data/*/shards/*.json >/dev/null 2>&1 || SCALE=${SCALE:-0.05} bash deploy/dataset.sh
data=()
for folder in "$SHOPFLOOR_HOME"/data/*/; do [ -d "$folder/shards" ] && data+=(--data "$folder"); done

say() { echo "model: $*" >&2; }
say "$SIZE, $MINUTES minutes, $([ "$gpu" = 1 ] && echo one GPU || echo "$cores cores")"
"${train[@]}" --size "$SIZE" --minutes "$(share 0.35)" --steps 1000000 --batch "$batch" --out "$runs/drawn"
"${train[@]}" --size "$SIZE" --minutes "$(share 0.55)" --steps 1000000 --batch "$batch" --questions 5 --rate 8e-4 \
  "${data[@]}" --from "$runs/drawn/checkpoint" --out "$runs/recorded"
"$bin/shopfloor" train rft --model "$runs/recorded/checkpoint" --rounds 1 ${FAMILIES:+--families "$FAMILIES"} \
  --out "$runs/own"
"$bin/shopfloor" train promote
