package play

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"seatrial.dev/seatrial/scenarios"
)

// The seeds that the chaos test draws scenarios from. More of them:
//
//	go test ./sim/play -run Chaos -chaos.seeds 1-2000
var chaosSeeds = flag.String("chaos.seeds", "1-60", "seeds of the chaos test, A-B")

// chaosBody is a cluster with one workload of each kind that must come to rest.
const chaosBody = `
  manifests:
  - apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 5
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          terminationGracePeriodSeconds: 5
          containers:
          - {name: c, image: "demo/web:1", readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 2}}
  - apiVersion: v1
    kind: ReplicationController
    metadata: {name: old}
    spec:
      replicas: 3
      selector: {app: old}
      template:
        metadata: {labels: {app: old}}
        spec: {containers: [{name: c, image: "demo/old:1"}]}
  - apiVersion: apps/v1
    kind: StatefulSet
    metadata: {name: db}
    spec:
      serviceName: db
      replicas: 2
      selector: {matchLabels: {app: db}}
      template:
        metadata: {labels: {app: db}}
        spec: {containers: [{name: c, image: "demo/db:1"}]}
  - apiVersion: apps/v1
    kind: DaemonSet
    metadata: {name: agent}
    spec:
      selector: {matchLabels: {app: agent}}
      template:
        metadata: {labels: {app: agent}}
        spec: {containers: [{name: c, image: "demo/agent:1"}]}
  - apiVersion: batch/v1
    kind: Job
    metadata: {name: work}
    spec:
      completions: 4
      parallelism: 2
      backoffLimit: 1000
      template:
        spec: {restartPolicy: Never, containers: [{name: c, image: "demo/work:1"}]}
  - apiVersion: v1
    kind: Service
    metadata: {name: web}
    spec: {selector: {app: web}, ports: [{port: 80}]}
  - apiVersion: v1
    kind: Service
    metadata: {name: db}
    spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
  - apiVersion: policy/v1
    kind: PodDisruptionBudget
    metadata: {name: web}
    spec: {minAvailable: 3, selector: {matchLabels: {app: web}}}
  images:
  - {match: "demo/web:*", startup: 500ms, readyAfter: 2s, stopAfter: 1s}
  - {match: "demo/work:*", runFor: 30s}
`

// chaosChecks is what must be true once the harm is over and time has passed.
const chaosChecks = `
  checks:
  - name: every node is back
    atEnd: nodes.all(n, condition(n, "Ready") == "True" && n.spec.taints.size() == 0 && !n.spec.unschedulable)
  - name: the deployment is whole
    atEnd: deployments.all(d, d.status.replicas == d.spec.replicas && d.status.updatedReplicas == d.spec.replicas && d.status.availableReplicas == d.spec.replicas && d.status.observedGeneration == d.metadata.generation)
  - name: the controller has its pods
    atEnd: replicationcontrollers.all(r, r.status.replicas == r.spec.replicas && r.status.readyReplicas == r.spec.replicas)
  - name: the stateful set is whole
    atEnd: statefulsets.all(s, s.status.readyReplicas == s.spec.replicas)
  - name: every node has its agent
    atEnd: daemonsets.all(d, d.status.numberReady == nodes.size() && d.status.desiredNumberScheduled == nodes.size())
  - name: the work is done
    atEnd: jobs.all(j, j.status.succeeded == 4)
  - name: nobody is left over
    atEnd: pods.all(p, !has(p.metadata.deletionTimestamp) && p.status.phase in ["Running", "Succeeded", "Failed"])
  - name: who runs is ready
    atEnd: pods.all(p, p.status.phase != "Running" || condition(p, "Ready") == "True")
  - name: the service knows them
    atEnd: ready("service/default/web") == pods.filter(p, p.metadata.name.startsWith("web-") && condition(p, "Ready") == "True").size()
  - name: never more than the surge
    always: pods.filter(p, p.metadata.name.startsWith("web-") && !has(p.metadata.deletionTimestamp) && p.status.phase != "Failed").size() <= 9
`

// chaosScenario draws five minutes of harm to four nodes, and forty to recover.
func chaosScenario(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 0xc4a05))
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: seatrial.dev/v1alpha1\nkind: Scenario\nmetadata: {name: chaos-%d}\nspec:\n  seed: %d\n  duration: 50m\n", seed, seed)
	b.WriteString("  cluster:\n    nodeGroups:\n    - {name: w, count: 4, zones: [a, b]}\n")
	b.WriteString(chaosBody)
	b.WriteString("  timeline:\n")
	down, frozen := map[int]bool{}, map[int]bool{}
	image := 1
	for at := 10; at < 310; at += 1 + r.IntN(24) {
		n := r.IntN(4)
		step := ""
		switch what := r.IntN(12); {
		case what == 0 && !down[n]:
			step, down[n], frozen[n] = fmt.Sprintf("crash: {node: w-%d}", n), true, false
		case what == 1:
			step, frozen[n] = fmt.Sprintf("restart: {node: w-%d}", n), false
			down[n] = false
			fmt.Fprintf(&b, "  - {at: %dms, %s}\n", at*1000+r.IntN(1000), step)
			at += 6 // it boots
			continue
		case what == 2 && !down[n] && !frozen[n]:
			step, frozen[n] = fmt.Sprintf("freeze: {node: w-%d}", n), true
		case what == 3 && frozen[n]:
			step, frozen[n] = fmt.Sprintf("thaw: {node: w-%d}", n), false
		case what == 4:
			step = fmt.Sprintf("cut: {node: w-%d}", n)
		case what == 5:
			step = fmt.Sprintf("heal: {node: w-%d}", n)
		case what == 6:
			step = fmt.Sprintf("cut: {from: [w-%d], to: [control-plane], oneWay: %v}", n, r.IntN(2) == 0)
		case what == 7:
			step = "heal: {}"
		case what == 8:
			step = fmt.Sprintf("drain: {node: w-%d}", n)
		case what == 9:
			step = fmt.Sprintf("uncordon: {node: w-%d}", n)
		case what == 10:
			step = fmt.Sprintf("scale: {object: deploy/default/web, replicas: %d}", 2+r.IntN(5))
		case what == 11:
			image++
			step = fmt.Sprintf("setImage: {object: deploy/default/web, image: \"demo/web:%d\"}", image)
		}
		if step != "" {
			fmt.Fprintf(&b, "  - {at: %dms, %s}\n", at*1000+r.IntN(1000), step)
		}
	}
	b.WriteString("  - {at: 320s, heal: {}}\n")
	for n := range 4 {
		if frozen[n] {
			fmt.Fprintf(&b, "  - {at: 321s, thaw: {node: w-%d}}\n", n)
		}
		if down[n] {
			fmt.Fprintf(&b, "  - {at: 322s, restart: {node: w-%d}}\n", n)
		}
		fmt.Fprintf(&b, "  - {at: %ds, uncordon: {node: w-%d}}\n", 20*60+n, n) // after drains that a budget held up
	}
	b.WriteString(chaosChecks)
	return b.String()
}

// TestChaos does harm to a cluster for five minutes and asks that it comes to rest.
// A scenario that fails is written to a file, to be run by itself.
func TestChaos(t *testing.T) {
	var from, to uint64
	if _, err := fmt.Sscanf(*chaosSeeds, "%d-%d", &from, &to); err != nil {
		t.Fatalf("-chaos.seeds %q: want A-B", *chaosSeeds)
	}
	for seed := from; seed <= to; seed++ {
		text := chaosScenario(seed)
		scn, err := scenarios.Parse(fmt.Sprintf("chaos-%d.yaml", seed), []byte(text))
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, text)
		}
		v, _ := Run(scn, Options{Seed: seed})
		if v.Passed() {
			continue
		}
		file := filepath.Join(os.TempDir(), scn.File)
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		v.WriteFailures(&b, "seatrial run "+file)
		t.Errorf("seed %d (go test ./sim/play -run Chaos -chaos.seeds %d-%d):\n%s", seed, seed, seed, b.String())
	}
}
