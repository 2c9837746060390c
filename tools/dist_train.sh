#!/usr/bin/env bash
# Train on several processes of this machine, or of several: GPUs if there are any, else CPUs (gloo).
#   tools/dist_train.sh CONFIG PROCESSES [arguments of tools/train.py]
# PROCESSES are those of each machine. Environment, the same on all machines but for NODE_RANK:
#   NNODES        machines, default 1; MIN:MAX lets machines leave and join while it trains
#   NODE_RANK     0, 1, ... of this machine; 0 is the one at MASTER_ADDR; needed for more than one machine
#   MASTER_ADDR   name or address of machine 0; needed for more than one machine
#   MASTER_PORT   a free port there, default 29500; a training of its own wants a port of its own
#   MAX_RESTARTS  how often a machine starts its processes again when one died, default 0: such a
#                 start goes on from the newest checkpoint, which all machines have to see
#   LOCAL_ADDR    name or address by which the others reach this machine; default its own name
# Two machines: NNODES=2 NODE_RANK=0 MASTER_ADDR=node0 MAX_RESTARTS=3 tools/dist_train.sh CONFIG 8
set -euo pipefail
usage() { sed -n '2,12p' "$0"; exit 2; }
refuse() { echo "Error: $1" >&2; exit 2; }
[ $# -ge 2 ] || usage
config=$1 processes=$2
shift 2

nodes=${NNODES:-1} rank=${NODE_RANK:-0} restarts=${MAX_RESTARTS:-0} port=${MASTER_PORT:-29500}
count='^[1-9][0-9]{0,4}$' number='^[0-9]{1,5}$'
least=${nodes%%:*} most=${nodes##*:}
[[ $processes =~ $count || $processes = gpu || $processes = auto ]] ||
    refuse "PROCESSES = $processes: give the number of processes of a machine, 1 or more, or gpu for one a GPU"
[[ $least =~ $count && $most =~ $count && $nodes =~ ^[0-9]+(:[0-9]+)?$ ]] && ((least <= most)) ||
    refuse "NNODES=$nodes: give the number of machines, 1 or more, or MIN:MAX with MIN not above MAX, for example 1:4"
[[ $rank =~ $number ]] && ((10#$rank < most)) ||
    refuse "NODE_RANK=$rank: give each of the $most machines one of 0 to $((most - 1))"
[[ $restarts =~ $number ]] ||
    refuse "MAX_RESTARTS=$restarts: give how often dead processes are started again, 0 or more"
[[ $port =~ $count ]] && ((port < 65536)) ||
    refuse "MASTER_PORT=$port: give a free port of machine 0, 1 to 65535"
((most == 1)) || [ -n "${MASTER_ADDR:-}" ] ||
    refuse "NNODES=$nodes without MASTER_ADDR: give the name or address of machine 0, on all machines the same"
((most == 1)) || [ -n "${NODE_RANK:-}" ] ||
    refuse "NNODES=$nodes without NODE_RANK: give each machine its number, 0 on the one at MASTER_ADDR"
address=${MASTER_ADDR:-127.0.0.1}

where=(--nnodes="$nodes" --nproc_per_node="$processes" --max_restarts="$restarts")
if [[ $nodes = *:* ]] || ((most > 1 && 10#$restarts > 0)); then
    # Only this rendezvous starts the processes of all machines again. Each start gets a port of its
    # own: in a store that all starts share, the new processes would find the addresses of the dead.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    where+=(--rdzv_backend=c10d --rdzv_endpoint="$address:$port" --rdzv_id="sgseg_$port")
    where+=(--rdzv_conf="is_host=$([ "$rank" -eq 0 ] && echo 1 || echo 0)")
else
    where+=(--node_rank="$rank" --master_addr="$address" --master_port="$port")
fi
[ -z "${LOCAL_ADDR:-}" ] || where+=(--local_addr="$LOCAL_ADDR")
exec torchrun "${where[@]}" "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
