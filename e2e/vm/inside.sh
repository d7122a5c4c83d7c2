#!/usr/bin/env bash
# In the guest: a lab, a workload, limits, a crash, and nothing left behind.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
lab=/run/lab # in memory: images are overlays, and do not go above another one
export KUBECONFIG=/run/kubeconfig

step() { echo "--- $*"; }
until_true() { # SECONDS WHAT COMMAND...
	local end=$(($(date +%s) + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$end" ] || { echo "not in time: $what"; "$@"; exit 1; }
		sleep 1
	done
	echo "$what"
}
kubectl() { bin/kubectl "$@"; }
field() { kubectl get "$1" -o jsonpath="$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }

step "kernel $(uname -r), controllers $(cat /sys/fs/cgroup/cgroup.controllers)"
bin/seatrial doctor
ip route add default dev lo

step 'a lab'
bin/seatrial lab up --nodes 2 --dir "$lab" --images out/images --kubeconfig "$KUBECONFIG"
kubectl apply -f scenarios/manifests/demo
until_true 300 'all replicas are ready' kubectl wait --timeout=1s --for=condition=Available deployment/frontend deployment/store
until_true 60 'the service answers' curl -sf -m 5 http://172.30.83.20:30080/

step 'limits'
kubectl apply -f - <<'YAML'
apiVersion: v1
kind: Pod
metadata: {name: hog}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: seatrial.dev/demo/worker:v1
    args: [-memory, "256"]
    resources: {limits: {memory: 32Mi, cpu: 200m}}
YAML
until_true 120 'the pod that takes more memory than it may is OOMKilled' is pod/hog '{.status.containerStatuses[0].state.terminated.reason}' OOMKilled

step 'a crash'
bin/seatrial lab crash node-1 --dir "$lab"
until_true 60 'its node is not ready' is node/node-1 '{.status.conditions[?(@.type=="Ready")].status}' Unknown

step 'nothing is left'
bin/seatrial lab down --dir "$lab"
[ -z "$(find /sys/fs/cgroup -name '*seatrial*' -path '*lab*')" ] || { find /sys/fs/cgroup -name '*seatrial*'; exit 1; }
[ -z "$(ip -o link show | grep -v ' lo:')" ] || { ip link show; exit 1; }
! grep seatrial /proc/self/mountinfo
echo 'all passed'
