package nodeagent

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// BenchmarkPodLife is the whole life of a simple pod on a node that runs 50
// others: assigned, sandbox, pull, start, two status writes; deleted, exited, last
// status, sandbox gone, deleted.
func BenchmarkPodLife(b *testing.B) {
	w := newBenchWorld()
	deleted := metav1.Time{Time: w.now}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := benchPod(i)
		w.step(PodSeen{p})
		gone := *w.pod
		gone.DeletionTimestamp = &deleted
		w.step(PodSeen{&gone})
	}
	b.ReportMetric(float64(w.steps)/float64(b.N), "steps/op")
}

// BenchmarkPodStart is the part of it up to Running, on one of many agents.
func BenchmarkPodStart(b *testing.B) {
	b.ReportAllocs()
	var w *benchWorld
	for i := 0; i < b.N; i++ {
		if i%60 == 0 {
			b.StopTimer()
			w = newBenchWorld()
			b.StartTimer()
		}
		w.step(PodSeen{benchPod(i)})
	}
}

// benchWorld answers every effect at once.
type benchWorld struct {
	agent *Agent
	now   time.Time
	pod   *corev1.Pod // the last written
	todo  []Input
	out   []Effect
	steps int
}

func newBenchWorld() *benchWorld {
	w := &benchWorld{agent: New("n1", Defaults()), now: start}
	n := &corev1.Node{}
	n.Name = "n1"
	w.step(Booted{n})
	for i := range 50 {
		w.step(PodSeen{benchPod(-i - 1)})
	}
	w.steps = 0
	return w
}

func benchPod(i int) *corev1.Pod {
	p := &corev1.Pod{}
	p.Name, p.Namespace, p.UID, p.Generation = "web", "default", types.UID(fmt.Sprint(i)), 1
	p.Spec.Containers = []corev1.Container{{Name: "web", Image: "nginx:1", ImagePullPolicy: corev1.PullIfNotPresent}}
	p.Status.Phase = corev1.PodPending
	return p
}

func (w *benchWorld) step(in Input) {
	w.todo = append(w.todo[:0], in)
	for len(w.todo) > 0 {
		in := w.todo[0]
		w.todo = w.todo[1:]
		w.out = w.agent.Step(w.now, in, w.out[:0])
		w.steps++
		for _, e := range w.out {
			w.answer(e)
		}
	}
}

func (w *benchWorld) answer(e Effect) {
	switch e := e.(type) {
	case PullImage:
		w.todo = append(w.todo, ImagePulled{Image: e.Image, Pod: e.Pod})
	case MakeSandbox:
		w.todo = append(w.todo, SandboxReady{Pod: e.Pod.UID, IP: "10.0.0.1"})
	case StopSandbox:
		w.todo = append(w.todo, SandboxGone{Pod: e.Pod})
	case StartContainer:
		w.todo = append(w.todo, ContainerStarted{ID: e.ID, RuntimeID: "containerd://1"})
	case KillContainer:
		w.todo = append(w.todo, ContainerExited{ID: e.ID, ExitCode: 143})
	case Write:
		w.todo = append(w.todo, Wrote{Tag: e.Tag})
		if e.Request.Ref.Kind != kinds.Pod {
			return
		}
		if e.Request.Verb == api.VerbDelete {
			w.todo = append(w.todo, PodGone{Key: e.Request.Ref.Key, UID: e.Request.UID})
			return
		}
		w.pod = e.Request.Object.(*corev1.Pod)
		w.todo = append(w.todo, PodSeen{w.pod})
	}
}
