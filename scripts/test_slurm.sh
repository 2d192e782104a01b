#!/bin/bash
# A Slurm of one node (Debian's slurm-wlm and munge; run as root) in a folder of its own, and on it: a run shared between
# two jobs, one of which is put back into the queue while it works, held against the same run in one process.
set -euo pipefail
bin=${1:-.venv/bin}
for tool in slurmctld slurmd munged sbatch; do
    command -v $tool >/dev/null || { echo "$tool is missing: apt-get install slurm-wlm munge" >&2; exit 2; }
done
work=$(mktemp -d)
node=$(hostname -s)
cleanup() {
    for daemon in slurmd slurmctld; do [ -f $work/$daemon.pid ] && kill "$(cat $work/$daemon.pid)" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

pgrep -x munged >/dev/null || { mkdir -p /run/munge; chown munge: /run/munge; runuser -u munge -- munged; }
cat > $work/slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$node
SlurmUser=root
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/slurmctld.log
SlurmdLogFile=$work/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobRequeue=1
ReturnToService=2
MailProg=/bin/true
NodeName=$node CPUs=$(nproc) State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES State=UP
CONF
mkdir -p $work/state $work/spool
export SLURM_CONF=$work/slurm.conf
slurmctld
slurmd
for _ in $(seq 30); do [ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && break; sleep 1; done
sinfo

eval="$bin/flashbench eval --model cutout --cases 12 --metrics psnr,flicker,epe_lk"
$eval -o $work/one >/dev/null
# A job that has begun is sent back to the queue, as a preemption does.
(for _ in $(seq 240); do
    sleep 0.5
    job=$(squeue -h -t RUNNING -o %A | head -1) && [ -n "$job" ] && [ -n "$(ls $work/two/videos 2>/dev/null)" ] || continue
    echo "requeue $job with $(ls $work/two/videos | wc -l) videos made"; scontrol requeue "$job"; break
done) &
$eval -o $work/two --launcher slurm --jobs 2 >/dev/null
wait %1
grep -h "Starting with" $work/two.jobs/*.out
for run in one two; do grep -v ',seconds,' $work/$run/results.csv | sha256sum; done
cmp <(grep -v ',seconds,' $work/one/results.csv) <(grep -v ',seconds,' $work/two/results.csv)

# A job that fails makes the command fail, and no table.
if $bin/flashbench eval --model videos:$work/nowhere --cases 4 -o $work/three --launcher slurm --jobs 2; then exit 1; fi
[ ! -e $work/three/results.csv ]
echo "test-slurm: the same results from two jobs, one of them requeued, as from one process"
