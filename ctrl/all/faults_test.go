package all_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/all"
	"seatrial.dev/seatrial/ctrl/ctrltest"
)

const workloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: "nginx:0"}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80, protocol: TCP}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: c, image: "pg:0"}]}
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], storageClassName: fast, resources: {requests: {storage: 1Gi}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fast}
provisioner: csi.example.com
---
apiVersion: v1
kind: PersistentVolume
metadata: {name: by-hand}
spec: {storageClassName: fast, capacity: {storage: 2Gi}, accessModes: [ReadWriteOnce], nfs: {server: s, path: /}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: log}
spec:
  selector: {matchLabels: {app: log}}
  template:
    metadata: {labels: {app: log}}
    spec: {containers: [{name: c, image: "fluentd:0"}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completions: 5
  parallelism: 2
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "sum:0"}]}
---
apiVersion: v1
kind: Service
metadata: {name: outside}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80, protocol: TCP}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: outside}
subsets: [{addresses: [{ip: 192.0.2.7}, {ip: "2001:db8::7"}], ports: [{port: 8080, protocol: TCP}]}]
---
apiVersion: v1
kind: Node
metadata: {name: n1}
---
apiVersion: v1
kind: Node
metadata: {name: n2}
`

func controllers() []ctrl.Controller {
	return all.New(all.Config{PodCIDR: "10.244.0.0/16", Provisions: true})
}

// Writes fail at random, controllers crash between any two writes, templates and
// sizes change in the middle of it. No rollout ever has more pods than it may, and
// when the faults end, everything comes to be as it was asked for, and then rests.
func TestConvergesDespiteFaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := ctrltest.New(controllers()...)
		w.Vouch()
		docs, err := kinds.Decode("workloads", []byte(workloads))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			w.Load(d.Object)
		}
		faulty := true
		w.Refuse = func(r api.Request) error {
			if faulty && rapid.IntRange(0, 9).Draw(t, "refuse one in ten") == 0 {
				return errors.New("the network is down")
			}
			return nil
		}
		limit := int32(5) // 4 and a surge of 25 %
		for i := range rapid.IntRange(20, 120).Draw(t, "steps") {
			switch rapid.IntRange(0, 15).Draw(t, "step") {
			case 0:
				w.Restart(controllers()...)
			case 1:
				w.Agents()
			case 2:
				w.Now = w.Now.Add(time.Second)
			case 3:
				image := fmt.Sprint("nginx:", rapid.IntRange(0, 3).Draw(t, "image"))
				change(w, func(d *appsv1.Deployment) { d.Spec.Template.Spec.Containers[0].Image = image })
			case 4:
				n := rapid.Int32Range(0, 8).Draw(t, "replicas")
				limit = max(limit, n+(n+3)/4)
				change(w, func(d *appsv1.Deployment) { d.Spec.Replicas = &n })
			default:
				for i := range w.Controllers {
					w.Turn(i)
				}
			}
			if n := sizes(w); n > limit {
				t.Fatalf("step %d: %d pods are asked for, %d are allowed", i, n, limit)
			}
		}
		faulty = false
		for range 60 {
			w.Now = w.Now.Add(time.Second)
			if !w.Settle() {
				t.Fatal("the controllers do not come to rest")
			}
			w.Agents()
		}
		judge(t, w)
	})
}

func change(w *ctrltest.World, f func(*appsv1.Deployment)) {
	d := kinds.Clone(w.Store.Get(kinds.Ref{Kind: kinds.Deployment, Key: kinds.Key{Namespace: "default", Name: "web"}}).(*appsv1.Deployment))
	f(d)
	d.ResourceVersion = ""
	w.Write(api.Update(d))
}

// sizes adds up what the Deployment's sets ask for.
func sizes(w *ctrltest.World) (n int32) {
	for o := range w.Store.List(kinds.ReplicaSet, "") {
		n += *o.(*appsv1.ReplicaSet).Spec.Replicas
	}
	return n
}

func judge(t *rapid.T, w *ctrltest.World) {
	d := view.Get[*appsv1.Deployment](w.View, kinds.Deployment, kinds.Key{Namespace: "default", Name: "web"})
	want := *d.Spec.Replicas
	if s := d.Status; s.Replicas != want || s.UpdatedReplicas != want || s.AvailableReplicas != want || s.UnavailableReplicas != 0 || s.ObservedGeneration != d.Generation {
		t.Fatalf("deployment wants %d at generation %d: %+v", want, d.Generation, s)
	}
	if n := sizes(w); n != want {
		t.Fatalf("sets ask for %d pods, not %d", n, want)
	}
	j := view.Get[*batchv1.Job](w.View, kinds.Job, kinds.Key{Namespace: "default", Name: "sum"})
	if s := j.Status; s.Succeeded != 5 || s.Failed != 0 || s.Active != 0 || s.CompletionTime == nil {
		t.Fatalf("job: %+v", s)
	}
	var ready, inSlices, endpoints []string
	count := map[string]int{}
	for p := range view.All[*corev1.Pod](w.View, kinds.Pod) {
		count[p.Labels["app"]]++
		if p.Labels["app"] == "web" {
			ready = append(ready, p.Status.PodIP)
			if image := p.Spec.Containers[0].Image; image != d.Spec.Template.Spec.Containers[0].Image {
				t.Fatalf("pod %s runs %s", p.Name, image)
			}
		}
	}
	if count["web"] != int(want) || count["db"] != 2 || count["log"] != 2 || count[""] != 5 {
		t.Fatalf("pods: %v", count)
	}
	for s := range view.All[*discoveryv1.EndpointSlice](w.View, kinds.EndpointSlice) {
		for _, e := range s.Endpoints {
			inSlices = append(inSlices, e.Addresses...)
		}
	}
	for e := range view.All[*corev1.Endpoints](w.View, kinds.Endpoints) {
		for _, s := range e.Subsets {
			for _, a := range s.Addresses {
				endpoints = append(endpoints, a.IP)
			}
		}
	}
	ready = append(ready, "192.0.2.7", "2001:db8::7") // what is outside was written by hand
	slices.Sort(ready)
	slices.Sort(inSlices)
	slices.Sort(endpoints)
	if !slices.Equal(ready, inSlices) || !slices.Equal(ready, endpoints) {
		t.Fatalf("ready %v, in slices %v, in endpoints %v", ready, inSlices, endpoints)
	}
	judgeVolumes(t, w)
	resting(t, w)
}

// judgeVolumes: each claim has a volume of its own, and no volume is left over but one
// made by hand, or made for a claim that found that.
func judgeVolumes(t *rapid.T, w *ctrltest.World) {
	owners := map[string]string{}
	for c := range view.All[*corev1.PersistentVolumeClaim](w.View, kinds.PersistentVolumeClaim) {
		if c.Status.Phase != corev1.ClaimBound {
			t.Fatalf("claim %s: %+v", c.Name, c.Status)
		}
		owners[c.Spec.VolumeName] = string(c.UID)
	}
	for pv := range view.All[*corev1.PersistentVolume](w.View, kinds.PersistentVolume) {
		switch owner := owners[pv.Name]; {
		case owner == "" && (pv.Name != "by-hand" || pv.Status.Phase != corev1.VolumeAvailable):
			t.Fatalf("volume %s is left over: %+v", pv.Name, pv.Status)
		case owner != "" && (string(pv.Spec.ClaimRef.UID) != owner || pv.Status.Phase != corev1.VolumeBound):
			t.Fatalf("volume %s of claim %s: %+v %+v", pv.Name, owner, pv.Spec.ClaimRef, pv.Status)
		}
		delete(owners, pv.Name)
	}
	if len(owners) > 0 {
		t.Fatalf("claims without a volume: %v", owners)
	}
}

// resting checks that no controller wants to write anything, whatever it is asked.
func resting(t *rapid.T, w *ctrltest.World) {
	for _, c := range w.Controllers {
		for _, k := range kinds.All() {
			for o := range w.Store.List(k.Kind, "") {
				if !slices.Contains(c.Kinds(), k.Kind) || !keyOf(c, k.Kind) {
					continue
				}
				if p := c.Reconcile(w.Now, w.View, kinds.RefOf(o)); !p.Empty() {
					t.Fatalf("%s would still write:\n%s", c.Name(), w.Print(&p))
				}
			}
		}
	}
}

// keyOf says whether objects of the kind are keys of the controller, and not only
// what it watches.
func keyOf(c ctrl.Controller, k kinds.Kind) bool {
	keys := map[string][]kinds.Kind{
		"namespace-controller": {kinds.Namespace}, "serviceaccount-controller": {kinds.Namespace},
		"node-lifecycle-controller": {}, "taint-eviction-controller": {kinds.Pod}, "node-ipam-controller": {kinds.Node},
		"deployment-controller": {kinds.Deployment}, "replicaset-controller": {kinds.ReplicaSet},
		"replication-controller": {kinds.ReplicationController}, "daemonset-controller": {kinds.DaemonSet},
		"statefulset-controller": {kinds.StatefulSet}, "job-controller": {kinds.Job},
		"ttl-after-finished-controller": {kinds.Job}, "disruption-controller": {kinds.PodDisruptionBudget},
		"endpoint-controller": {kinds.Service}, "endpointslice-controller": {kinds.Service},
		"endpointslicemirroring-controller": {kinds.Endpoints},
		"garbage-collector-controller":      {kinds.Pod, kinds.ReplicaSet, kinds.EndpointSlice, kinds.ControllerRevision},
		"pod-garbage-collector-controller":  {kinds.Pod, kinds.Node},
		"persistentvolume-controller":       {kinds.PersistentVolumeClaim, kinds.PersistentVolume},
		"external-provisioner":              {kinds.PersistentVolumeClaim, kinds.PersistentVolume},
	}[c.Name()]
	return slices.Contains(keys, k)
}
