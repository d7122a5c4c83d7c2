package job_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/ctrltest"
	"seatrial.dev/seatrial/ctrl/job"
)

// How a pod of the scripted Job ends.
const (
	succeeds   int32 = 0
	fails      int32 = 1
	failsIndex int32 = 2
	isIgnored  int32 = 3
)

const scripted = `
apiVersion: batch/v1
kind: Job
metadata: {name: sum}
spec:
  completionMode: Indexed
  completions: %d
  parallelism: %d
  backoffLimitPerIndex: %d
  podFailurePolicy:
    rules:
    - {action: FailIndex, onExitCodes: {operator: In, values: [2]}}
    - {action: Ignore, onExitCodes: {operator: In, values: [3]}}
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: "sum:0"}]}
`

// script is how the pods of an index end, one after the other; then they succeed.
type script []int32

func (s script) code(pod int) int32 {
	if pod < len(s) {
		return s[pod]
	}
	return succeeds
}

// outcome is what becomes of the index if it may fail as often as limit: how many
// failures count, and whether it is lost.
func (s script) outcome(limit int32) (counted int32, lost bool) {
	for _, code := range s {
		switch code {
		case succeeds:
			return counted, false
		case failsIndex:
			return counted + 1, true
		case fails:
			if counted++; counted > limit {
				return counted, true
			}
		}
	}
	return counted, false
}

// Writes fail at random and the controller crashes, but each index is tried exactly as
// often as it may be, its pods know how often it failed before them, and in the end
// every failure has been counted once.
func TestScripts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int32Range(0, 2).Draw(t, "limit")
		parallelism := rapid.IntRange(1, 4).Draw(t, "parallelism")
		scripts := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom([]int32{succeeds, fails, fails, failsIndex, isIgnored}), 0, 5), 1, 5).Draw(t, "scripts")
		w := ctrltest.New(job.New())
		docs, err := kinds.Decode("scripted", []byte(fmt.Sprintf(scripted, len(scripts), parallelism, limit)))
		if err != nil {
			t.Fatal(err)
		}
		w.Load(docs[0].Object)
		faulty := true
		w.Refuse = func(api.Request) error {
			if faulty && rapid.IntRange(0, 4).Draw(t, "refuse one in five") == 0 {
				return errors.New("the network is down")
			}
			return nil
		}
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0:
				w.Restart(job.New())
			case 1, 2:
				w.Now = w.Now.Add(5 * time.Second)
			case 3, 4:
				endPods(w, scripts, rapid.IntRange(1, 2).Draw(t, "pods that end"))
			default:
				w.Turn(0)
			}
			checkPods(t, w, parallelism)
		}
		faulty = false
		for range 80 {
			if !w.Settle() {
				t.Fatal("the controller does not come to rest")
			}
			checkPods(t, w, parallelism)
			endPods(w, scripts, len(scripts))
			w.Now = w.Now.Add(time.Minute)
		}
		checkEnd(t, w, scripts, limit)
	})
}

// tries is which pod of its index a pod is, by its annotations.
func tries(p *corev1.Pod) (index, earlier int) {
	index, _ = strconv.Atoi(p.Annotations[batchv1.JobCompletionIndexAnnotation])
	counted, _ := strconv.Atoi(p.Annotations[batchv1.JobIndexFailureCountAnnotation])
	ignored, _ := strconv.Atoi(p.Annotations[batchv1.JobIndexIgnoredFailureCountAnnotation])
	return index, counted + ignored
}

// endPods ends up to n pods as their scripts want it.
func endPods(w *ctrltest.World, scripts [][]int32, n int) {
	for o := range w.Store.List(kinds.Pod, "") {
		p := o.(*corev1.Pod)
		if !view.Active(p) || n == 0 {
			continue
		}
		n--
		p = kinds.Clone(p)
		index, earlier := tries(p)
		code := script(scripts[index]).code(earlier)
		p.Status.Phase = corev1.PodFailed
		if code == succeeds {
			p.Status.Phase = corev1.PodSucceeded
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "c", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.NewTime(w.Now)}}}}
		p.ResourceVersion = ""
		w.Write(api.UpdateStatus(p))
	}
}

// checkPods: an index has one pod at most that runs, which knows of all before it.
func checkPods(t *rapid.T, w *ctrltest.World, parallelism int) {
	failed, runs, all := map[int]int{}, map[int]*corev1.Pod{}, 0
	for o := range w.Store.List(kinds.Pod, "") {
		p := o.(*corev1.Pod)
		index, earlier := tries(p)
		switch {
		case p.Status.Phase == corev1.PodFailed:
			failed[index]++
		case view.Active(p):
			if runs[index] != nil {
				t.Fatalf("index %d has two pods", index)
			}
			runs[index] = p
			all++
		}
		if earlier > 5 {
			t.Fatalf("pod %s comes after %d failures", p.Name, earlier)
		}
	}
	if all > parallelism {
		t.Fatalf("%d pods run, %d may", all, parallelism)
	}
	for index, p := range runs { //det:ok the first complaint of any index will do
		if _, earlier := tries(p); earlier != failed[index] {
			t.Fatalf("pod %s knows of %d failures of %d", p.Name, earlier, failed[index])
		}
	}
}

func checkEnd(t *rapid.T, w *ctrltest.World, scripts [][]int32, limit int32) {
	var done, lost []string
	var failures int32
	for i, s := range scripts {
		n, isLost := script(s).outcome(limit)
		failures += n
		if isLost {
			lost = append(lost, strconv.Itoa(i))
		} else {
			done = append(done, strconv.Itoa(i))
		}
	}
	end, reason := batchv1.JobComplete, batchv1.JobReasonCompletionsReached
	if len(lost) > 0 {
		end, reason = batchv1.JobFailed, batchv1.JobReasonFailedIndexes
	}
	s := w.Store.Get(kinds.Ref{Kind: kinds.Job, Key: kinds.Key{Namespace: "default", Name: "sum"}}).(*batchv1.Job).Status
	if s.Failed != failures || int(s.Succeeded) != len(done) || s.Active != 0 || s.FailedIndexes == nil ||
		spelled(s.CompletedIndexes) != strings.Join(done, ",") || spelled(*s.FailedIndexes) != strings.Join(lost, ",") {
		t.Fatalf("%d failures, done %v, lost %v: %+v", failures, done, lost, s)
	}
	if c := s.Conditions[len(s.Conditions)-1]; c.Type != end || c.Reason != reason {
		t.Fatalf("ended with %s, %s", c.Type, c.Reason)
	}
}

// spelled names the indexes of a text one by one.
func spelled(indexes string) string {
	var out []string
	for _, part := range strings.Split(indexes, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			out = append(out, from)
			continue
		}
		a, _ := strconv.Atoi(from)
		b, _ := strconv.Atoi(to)
		for i := a; i <= b; i++ {
			out = append(out, strconv.Itoa(i))
		}
	}
	return strings.Join(out, ",")
}
