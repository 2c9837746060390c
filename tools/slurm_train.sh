#!/usr/bin/env bash
# Train under slurm, one task a GPU.
#   GPUS=8 GPUS_PER_NODE=8 tools/slurm_train.sh PARTITION JOB CONFIG [arguments of tools/train.py]
set -euo pipefail
if [ $# -lt 3 ]; then sed -n '2,3p' "$0"; exit 2; fi
partition=$1 job=$2 config=$3
shift 3
exec srun -p "$partition" --job-name="$job" \
    --gres="gpu:${GPUS_PER_NODE:-8}" --ntasks="${GPUS:-8}" \
    --ntasks-per-node="${GPUS_PER_NODE:-8}" --cpus-per-task="${CPUS_PER_TASK:-4}" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
