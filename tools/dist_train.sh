#!/usr/bin/env bash
# Train on several processes of this machine: GPUs if there are any, else CPU processes (gloo).
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,3p' "$0"; exit 2; fi
config=$1 processes=$2
shift 2
exec torchrun --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${MASTER_PORT:-29500}" \
    --nproc_per_node="$processes" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
