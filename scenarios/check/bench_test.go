package check

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/scenarios"
)

// tenChecks are all open and undecided at every change.
var tenChecks = []string{
	`pods.filter(p, p.status.phase == "Running").size() < 0`,
	`pods.all(p, p.status.phase == "Running") && false`,
	`pods.exists(p, p.status.phase == "Failed")`,
	`pods.filter(p, p.status.phase == "Running").filter(p, has(p.status.podIP)).size() < 0`,
	`pods.exists_one(p, p.spec.nodeName == "no-such-node")`,
	`pods.filter(p, p.metadata.labels["app"] == "web").size() < 0`,
	`pods.filter(p, condition(p, "Ready") == "True").size() < 0`,
	`pods.size() < 0`,
	`ready("service/default/web") > 1000000`,
	`restarts("pod/default/pod-1") > 5`,
}

// BenchmarkChange is one change of a pod and the settled moment after it, with
// ten checks. The figure must not depend on the number of pods.
func BenchmarkChange(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("pods=%d", n), func(b *testing.B) { benchmarkChange(b, n, tenChecks) })
	}
	b.Run("one check/pods=100000", func(b *testing.B) { benchmarkChange(b, 100_000, tenChecks[:1]) })
}

func benchmarkChange(b *testing.B, pods int, exprs []string) {
	scn := &scenarios.Scenario{Duration: time.Hour}
	for _, e := range exprs {
		scn.Checks = append(scn.Checks, scenarios.Check{Name: e, Mode: scenarios.Eventually, Expr: e, To: time.Hour})
	}
	j, err := New(scn)
	if err != nil {
		b.Fatal(err)
	}
	s := store.New(1024)
	j.Watch(s)
	var events []store.Event
	for i := range pods {
		for _, phase := range []corev1.PodPhase{corev1.PodPending, corev1.PodRunning} {
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("pod-%d", i), Labels: map[string]string{"app": "web"}}}
			p.Status.Phase = phase
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			var e store.Event
			if phase == corev1.PodPending {
				e, err = s.Create(p)
			} else {
				e, err = s.Update(p, 0)
				e.Type = store.Modified
			}
			if err != nil {
				b.Fatal(err)
			}
			if i%7 == 0 || pods <= 1000 {
				events = append(events, e)
			}
		}
	}
	j.Settle(0)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e := events[i%len(events)]
		e.Type = store.Modified
		j.Observe(e)
		j.Settle(time.Duration(i))
		i++
	}
	for _, c := range j.checks {
		if c.decided {
			b.Fatalf("%s was decided: it saw %s", c.Expr, c.result.Saw)
		}
	}
}

// BenchmarkField is the reading of a field of an object two levels down.
func BenchmarkField(b *testing.B) {
	s := newScope()
	l, err := newLanguage(s)
	if err != nil {
		b.Fatal(err)
	}
	s.lang = l
	p := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}
	for _, text := range []string{`p.status.phase`, `p.status.phase == "Running"`, `p.metadata.labels.size()`} {
		e, errs := l.compileWith("p", l.x.object(kinds.Pod).cel, text)
		if errs != nil {
			b.Fatal(errs)
		}
		scope := &binding{s, "p", p}
		b.Run(text, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := e.prog.Eval(scope); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNew is the compilation of ten checks.
func BenchmarkNew(b *testing.B) {
	scn := &scenarios.Scenario{Duration: time.Hour}
	for _, e := range tenChecks {
		scn.Checks = append(scn.Checks, scenarios.Check{Name: e, Mode: scenarios.Eventually, Expr: e, To: time.Hour})
	}
	for b.Loop() {
		if _, err := New(scn); err != nil {
			b.Fatal(err)
		}
	}
}
