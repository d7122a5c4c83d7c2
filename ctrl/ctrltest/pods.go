package ctrltest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// pods loads pods, one a line: a name and words that hold for it; the words of
// the command hold for all.
//
//	owner=rs/default/web   its controller, with the UID "replicaset-web" if it does not exist
//	labels=app:web,tier:a
//	node=n1                assigned to the node
//	phase=Running          (Pending without the word)
//	ready=0s               Running, and ready since that time
//	notready=0s            Running, and not ready since that time
//	ip=10.0.0.1            Running with that address
//	restarts=3             of its only container
//	created=5s deleted=5s  times
//	cost=-5                deletion cost
//	ns=other               its namespace
func (w *World) pods(t *testing.T, d *datadriven.TestData) string {
	var all []string
	for _, a := range d.CmdArgs {
		all = append(all, a.Key+"="+strings.Join(a.Vals, ","))
	}
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		words := strings.Fields(line)
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: words[0], Namespace: "default"}}
		p.Spec.Containers = []corev1.Container{{Name: "c", Image: "nginx"}}
		p.Status.Phase = corev1.PodPending
		for _, word := range append(all, words[1:]...) {
			key, value, _ := strings.Cut(word, "=")
			w.word(t, p, key, value)
		}
		if s := w.feed(w.Put(p)); s != "" {
			out = append(out, s)
		}
	}
	return strings.Join(dedup(out), "\n")
}

func dedup(lines []string) (out []string) {
	seen := map[string]bool{}
	for _, l := range lines {
		if !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}

func (w *World) word(t *testing.T, p *corev1.Pod, key, value string) {
	switch key {
	case "owner":
		p.OwnerReferences = []metav1.OwnerReference{w.ownerRef(t, value)}
	case "labels":
		p.Labels = pairs(value)
	case "node":
		p.Spec.NodeName = value
	case "ns":
		p.Namespace = value
	case "phase":
		p.Status.Phase = corev1.PodPhase(value)
	case "ready", "notready":
		p.Status.Phase = corev1.PodRunning
		status := corev1.ConditionTrue
		if key == "notready" {
			status = corev1.ConditionFalse
		}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodReady, Status: status, LastTransitionTime: at(t, value)})
	case "ip":
		p.Status.PodIP, p.Status.PodIPs = value, []corev1.PodIP{{IP: value}}
	case "restarts":
		n, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", RestartCount: int32(n)}}
	case "created":
		p.CreationTimestamp = at(t, value)
	case "deleted":
		when := at(t, value)
		p.DeletionTimestamp = &when
	case "cost":
		p.Annotations = map[string]string{"controller.kubernetes.io/pod-deletion-cost": value}
	default:
		t.Fatalf("pods: unknown word %q", key)
	}
}

func (w *World) ownerRef(t *testing.T, name string) metav1.OwnerReference {
	ref := parseRef(t, name)
	o := w.Store.Get(ref)
	if o == nil {
		o = ref.Kind.Info().New()
		o.SetName(ref.Name)
		o.SetUID(defaultUID(ref))
	}
	return ownership.Ref(o)
}

func defaultUID(ref kinds.Ref) types.UID { return types.UID(ref.Kind.Lower() + "-" + ref.Name) }

func at(t *testing.T, value string) metav1.Time {
	d, err := time.ParseDuration(value)
	if err != nil {
		t.Fatal(err)
	}
	return metav1.NewTime(Start.Add(d))
}

func pairs(s string) map[string]string {
	m := map[string]string{}
	for _, kv := range strings.Split(s, ",") {
		k, v, _ := strings.Cut(kv, ":")
		m[k] = v
	}
	return m
}
