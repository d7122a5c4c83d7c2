package nodeagent

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

func TestImageName(t *testing.T) {
	digest := "sha256:0123456789012345678901234567890123456789012345678901234567890123"
	for _, c := range []struct{ image, name string }{ // an empty name: invalid
		{"nginx", "nginx:latest"},
		{"nginx:1.27", "nginx:1.27"},
		{"reg:5000/a/b", "reg:5000/a/b:latest"},
		{"Reg.example/a/b:V1", "Reg.example/a/b:V1"},
		{"a@" + digest, "a@" + digest},
		{"a:1@" + digest, "a:1@" + digest},
		{"", ""}, {"Nginx", ""}, {"a b", ""}, {"a:", ""}, {":1", ""}, {"a//b", ""}, {"a/", ""}, {"a@sha256:12", ""}, {"http://a/b", ""}, {"a:1:2", ""},
	} {
		name, ok := imageName(c.image)
		require.Equal(t, c.name != "", ok, c.image)
		if ok {
			require.Equal(t, c.name, name)
		}
	}
}

func TestPullPolicy(t *testing.T) {
	require.Equal(t, corev1.PullAlways, pullPolicy(&corev1.Container{Image: "a"}))
	require.Equal(t, corev1.PullIfNotPresent, pullPolicy(&corev1.Container{Image: "a:1"}))
	require.Equal(t, corev1.PullNever, pullPolicy(&corev1.Container{Image: "a", ImagePullPolicy: corev1.PullNever}))
}

// TestBackoff follows a container that crashes as soon as it is started.
func TestBackoff(t *testing.T) {
	first, longest := 10*time.Second, 300*time.Second
	var b backoff
	now := start
	var waits []time.Duration
	for range 8 {
		until := b.until(now, now, longest)
		if until.IsZero() {
			until = now
		}
		waits = append(waits, until.Sub(now)/time.Second)
		b.next(until, now, first, longest)
		now = until
	}
	require.Equal(t, []time.Duration{0, 10, 20, 40, 80, 160, 300, 300}, waits)
	require.NotZero(t, b.until(now.Add(599*time.Second), now.Add(599*time.Second), longest))
	require.Zero(t, b.until(now.Add(601*time.Second), now.Add(601*time.Second), longest))
}

func TestConfigValidates(t *testing.T) {
	for _, spoil := range []func(*Config){
		func(c *Config) { c.WriteRetry = 0 },
		func(c *Config) { c.CrashBackoffMax = 1 },
		func(c *Config) { c.NodeImagesMax = -1 },
	} {
		c := Defaults()
		spoil(&c)
		require.Panics(t, func() { New("n1", c) })
	}
	require.Panics(t, func() { New("", Defaults()) })
}

// The limits of Config, each met.
func TestLimits(t *testing.T) {
	cfg := Defaults()
	cfg.NodeImagesMax, cfg.ParallelPullsMax = 2, 2
	a := New("n1", cfg)
	n := &corev1.Node{}
	n.Name = "n1"
	a.Step(start, Booted{n}, nil)
	var out []Effect
	for i := range 3 {
		p := benchPod(i)
		p.Spec.Containers[0].Image = fmt.Sprintf("img%d:1", i)
		a.Step(start, PodSeen{p}, nil)
		out = a.Step(start, SandboxReady{Pod: p.UID}, out)
	}
	require.Equal(t, []string{"img0:1", "img1:1"}, pullsIn(out))
	out = a.Step(start, ImagePulled{Image: "img1:1", Pod: "1", SizeBytes: 20}, nil)
	require.Equal(t, []string{"img2:1"}, pullsIn(out))
	a.Step(start, ImagePulled{Image: "img0:1", Pod: "0", SizeBytes: 10}, nil)
	a.Step(start, ImagePulled{Image: "img2:1", Pod: "2", SizeBytes: 30}, nil)
	images := a.nodeObject(n).Status.Images
	require.Len(t, images, 2)
	require.Equal(t, []string{"img2:1"}, images[0].Names)
	require.Equal(t, []string{"img1:1"}, images[1].Names)
}

func pullsIn(out []Effect) (images []string) {
	for _, e := range out {
		if p, ok := e.(PullImage); ok {
			images = append(images, p.Image)
		}
	}
	return images
}

// TestSameStatus changes one field after the other of all that the kubelet says.
func TestSameStatus(t *testing.T) {
	yes, at := true, metav1.Time{Time: start}
	full := func() *corev1.PodStatus {
		return &corev1.PodStatus{Phase: "Running", Reason: "r", Message: "m", ObservedGeneration: 1, QOSClass: "Burstable",
			HostIP: "1", PodIP: "2", PodIPs: []corev1.PodIP{{IP: "2"}}, StartTime: at.DeepCopy(),
			Conditions: []corev1.PodCondition{{Type: "Ready", Status: "True", Reason: "r", Message: "m", ObservedGeneration: 1}},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: true, RestartCount: 1, Image: "i", ImageID: "d", ContainerID: "x", Started: &yes,
				State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: 1, Signal: 2, Reason: "r", Message: "m", StartedAt: at, FinishedAt: at, ContainerID: "y"}}}},
			InitContainerStatuses: []corev1.ContainerStatus{{Name: "i", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "r", Message: "m"}}}},
		}
	}
	require.True(t, sameStatus(full(), full()))
	later := metav1.Time{Time: start.Add(time.Second)}
	for i, change := range []func(*corev1.PodStatus){
		func(s *corev1.PodStatus) { s.Phase = "" },
		func(s *corev1.PodStatus) { s.Reason = "" },
		func(s *corev1.PodStatus) { s.Message = "" },
		func(s *corev1.PodStatus) { s.ObservedGeneration = 2 },
		func(s *corev1.PodStatus) { s.QOSClass = "" },
		func(s *corev1.PodStatus) { s.HostIP = "" },
		func(s *corev1.PodStatus) { s.PodIP = "" },
		func(s *corev1.PodStatus) { s.PodIPs = nil },
		func(s *corev1.PodStatus) { s.StartTime = nil },
		func(s *corev1.PodStatus) { s.StartTime = &later },
		func(s *corev1.PodStatus) { s.Conditions = nil },
		func(s *corev1.PodStatus) { s.Conditions[0].Status = "False" },
		func(s *corev1.PodStatus) { s.Conditions[0].Reason = "" },
		func(s *corev1.PodStatus) { s.Conditions[0].Message = "" },
		func(s *corev1.PodStatus) { s.Conditions[0].ObservedGeneration = 2 },
		func(s *corev1.PodStatus) { s.ContainerStatuses = nil },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].Ready = false },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].RestartCount = 2 },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].ContainerID = "" },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].ImageID = "" },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].Started = nil },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].State.Running.StartedAt = later },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].State = corev1.ContainerState{} },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].LastTerminationState.Terminated.ExitCode = 0 },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].LastTerminationState.Terminated.Signal = 0 },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].LastTerminationState.Terminated.Reason = "" },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].LastTerminationState.Terminated.Message = "" },
		func(s *corev1.PodStatus) { s.ContainerStatuses[0].LastTerminationState.Terminated.FinishedAt = later },
		func(s *corev1.PodStatus) { s.InitContainerStatuses[0].State.Waiting.Reason = "" },
		func(s *corev1.PodStatus) { s.InitContainerStatuses[0].State.Waiting.Message = "" },
	} {
		s := full()
		change(s)
		require.False(t, sameStatus(full(), s), "change %d", i)
	}
	more := full()
	more.Conditions = append([]corev1.PodCondition{{Type: "example.com/other"}}, more.Conditions...)
	require.True(t, sameStatus(full(), more), "conditions of others do not count")
}

// TestAlarms holds the heap against a search of all timers.
func TestAlarms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h alarms
		timers := make([]timer, 8)
		for i := range timers {
			timers[i].seq = uint64(i)
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			at := time.Time{}
			if n := rapid.IntRange(0, 5).Draw(t, "at"); n > 0 {
				at = start.Add(time.Duration(n))
			}
			h.set(&timers[rapid.IntRange(0, 7).Draw(t, "timer")], at)
			var first *timer
			for i := range timers {
				if x := &timers[i]; !x.at.IsZero() && (first == nil || x.before(first)) {
					first = x
				}
			}
			if first == nil && len(h) > 0 || first != nil && (len(h) == 0 || h[0] != first) {
				t.Fatalf("the first is %+v, want %+v", h, first)
			}
		}
	})
}

func TestQOSClass(t *testing.T) {
	list := func(cpu, mem string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: quantity(cpu), corev1.ResourceMemory: quantity(mem)}
	}
	pod := func(r ...corev1.ResourceRequirements) *corev1.Pod {
		p := &corev1.Pod{}
		for _, r := range r {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Resources: r})
		}
		return p
	}
	full := corev1.ResourceRequirements{Limits: list("1", "1Gi"), Requests: list("1", "1Gi")}
	require.Equal(t, corev1.PodQOSGuaranteed, qosClass(pod(full, full)))
	require.Equal(t, corev1.PodQOSGuaranteed, qosClass(pod(corev1.ResourceRequirements{Limits: list("1", "1Gi")})))
	require.Equal(t, corev1.PodQOSBurstable, qosClass(pod(full, corev1.ResourceRequirements{})))
	require.Equal(t, corev1.PodQOSBurstable, qosClass(pod(corev1.ResourceRequirements{Limits: list("1", "1Gi"), Requests: list("500m", "1Gi")})))
	require.Equal(t, corev1.PodQOSBestEffort, qosClass(pod(corev1.ResourceRequirements{})))
}

func quantity(s string) resource.Quantity { return resource.MustParse(s) }
