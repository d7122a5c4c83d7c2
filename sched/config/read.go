package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
)

// Limits of a configuration.
const (
	BytesMax    = 1 << 20            // of a file
	profilesMax = 100                // of one file
	secondsMax  = 365 * 24 * 60 * 60 // of a back-off
	errorsMax   = 100                // told of one file
)

// Read reads a file of either kind: KubeSchedulerConfiguration or Policy. The file's
// name is for messages only. The error, if any, is one *kinds.InputError or several
// joined, by line. Warnings tell what the file asks for that has no effect here.
func Read(file string, data []byte) (cfg sched.Config, warnings []string, err error) {
	if len(data) > BytesMax {
		return cfg, nil, &kinds.InputError{File: file, Problem: fmt.Sprintf("has %d bytes, more than the %d that a configuration may have", len(data), BytesMax)}
	}
	roots, err := kinds.ParseYAML(file, data)
	if err != nil {
		return cfg, nil, err
	}
	if len(roots) != 1 {
		return cfg, nil, &kinds.InputError{File: file, Line: 1, Problem: fmt.Sprintf("want one document of kind %s or %s, got %d", kind, policyKind, len(roots))}
	}
	r := &reader{file: file, root: roots[0]}
	switch r.header() {
	case kind:
		r.configuration()
	case policyKind:
		r.policy()
	}
	if len(r.errs) > errorsMax {
		r.errs = r.errs[:errorsMax]
	}
	if err := kinds.JoinInputErrors(r.errs); err != nil {
		return sched.Config{}, nil, err
	}
	return r.cfg, r.warnings, nil
}

// reader gathers a configuration, and what is wrong with its file.
type reader struct {
	file     string
	root     *yaml.Node
	cfg      sched.Config
	errs     []*kinds.InputError
	warnings []string
}

func (r *reader) errorAt(field, format string, args ...any) *kinds.InputError {
	e := &kinds.InputError{File: r.file, Line: kinds.FindLine(r.root, field), Field: field, Problem: fmt.Sprintf(format, args...)}
	if n := kinds.FindNode(r.root, field); n != nil && n.Kind == yaml.ScalarNode {
		if e.Value = n.Value; n.Value != "" {
			e.Problem = n.Value + " " + e.Problem
		}
	}
	return e
}

// fail notes what is wrong with a field. Where the file has a value for it, the message
// begins with that.
func (r *reader) fail(field, format string, args ...any) {
	r.errs = append(r.errs, r.errorAt(field, format, args...))
}

// warn notes what has no effect.
func (r *reader) warn(field, format string, args ...any) {
	e := &kinds.InputError{File: r.file, Line: kinds.FindLine(r.root, field), Field: field, Problem: fmt.Sprintf(format, args...)}
	r.warnings = append(r.warnings, e.Error())
}

// include notes the errors of another reader.
func (r *reader) include(err error) {
	type many interface{ Unwrap() []error }
	var one *kinds.InputError
	if m, ok := err.(many); ok {
		for _, e := range m.Unwrap() {
			r.include(e)
		}
	} else if errors.As(err, &one) {
		r.errs = append(r.errs, one)
	}
}

// header says of which kind the file is, "" if of none that can be read.
func (r *reader) header() string {
	text := func(field string) string {
		if n := kinds.FindNode(r.root, field); n != nil && n.Kind == yaml.ScalarNode {
			return n.Value
		}
		return ""
	}
	k, version := text("kind"), text("apiVersion")
	switch {
	case k == kind && version == apiVersion, k == policyKind && version == policyVersion:
		return k
	case k == kind && strings.HasPrefix(version, "kubescheduler.config.k8s.io/"):
		r.fail("apiVersion", "is a version that kube-scheduler has dropped: want %s", apiVersion)
	case k == kind:
		r.fail("apiVersion", "must be %s", apiVersion)
	case k == policyKind:
		r.fail("apiVersion", "must be %s for an old policy file", policyVersion)
	default:
		r.fail("kind", "must be %s (apiVersion %s), or %s (apiVersion %s) for an old policy file", kind, apiVersion, policyKind, policyVersion)
	}
	return ""
}

// configuration reads a KubeSchedulerConfiguration.
func (r *reader) configuration() {
	in := fileConfig{Parallelism: 16, EnableProfiling: true, PodInitialBackoffSeconds: 1, PodMaxBackoffSeconds: 10,
		LeaderElection: leaderElection{LeaderElect: true, ResourceLock: "leases",
			LeaseDuration: metav1.Duration{Duration: 15 * time.Second}, RenewDeadline: metav1.Duration{Duration: 10 * time.Second}, RetryPeriod: metav1.Duration{Duration: 2 * time.Second}}}
	if err := kinds.DecodeStrict(r.file, r.root, "", &in); err != nil {
		r.include(err)
		return
	}
	r.process(&in)
	initial, most := in.PodInitialBackoffSeconds, in.PodMaxBackoffSeconds
	if initial <= 0 || initial > secondsMax {
		r.fail("podInitialBackoffSeconds", "must be from 1 to %d", secondsMax)
	}
	if most < initial || most > secondsMax {
		r.fail("podMaxBackoffSeconds", "must be at least podInitialBackoffSeconds, which is %d, and at most %d", initial, secondsMax)
	}
	r.cfg.InitialBackoff, r.cfg.MaxBackoff = time.Duration(initial)*time.Second, time.Duration(most)*time.Second
	r.percentage("percentageOfNodesToScore", in.PercentageOfNodesToScore)
	r.extenders(in.Extenders)
	if len(in.Profiles) == 0 {
		in.Profiles = []fileProfile{{}}
	}
	if len(in.Profiles) == 1 && in.Profiles[0].SchedulerName == "" && kinds.FindNode(r.root, "profiles[0].schedulerName") == nil {
		in.Profiles[0].SchedulerName = corev1.DefaultSchedulerName
	}
	if len(in.Profiles) > profilesMax {
		r.fail("profiles", "has %d profiles, at most %d are allowed", len(in.Profiles), profilesMax)
		return
	}
	ignored := ignoredResources(r.cfg.Extenders)
	first := map[string]int{}
	for i := range in.Profiles {
		p, at := &in.Profiles[i], "profiles["+strconv.Itoa(i)+"]"
		if p.SchedulerName == "" {
			r.fail(at+".schedulerName", "is required: the spec.schedulerName of its pods")
		} else if j, twice := first[p.SchedulerName]; twice {
			r.fail(at+".schedulerName", "is the name of profiles[%d] as well; names must differ", j)
		} else {
			first[p.SchedulerName] = i
		}
		if p.PercentageOfNodesToScore == nil {
			p.PercentageOfNodesToScore = &in.PercentageOfNodesToScore
		} else {
			r.percentage(at+".percentageOfNodesToScore", *p.PercentageOfNodesToScore)
		}
		if !p.Plugins.QueueSort.same(&in.Profiles[0].Plugins.QueueSort) {
			r.fail(at+".plugins.queueSort", "must be the same for all profiles, which share one queue: that of profiles[0] differs")
		}
		out := r.profile(at, p)
		if len(ignored) > 0 {
			out.Fit.Ignored = ignored
		}
		r.cfg.Profiles = append(r.cfg.Profiles, out)
	}
}

func (r *reader) percentage(field string, v int32) {
	if v < 0 || v > 100 {
		r.fail(field, "must be from 0 to 100")
	}
}

// process checks what is about kube-scheduler's process and has no effect here.
func (r *reader) process(in *fileConfig) {
	if in.Parallelism <= 0 {
		r.fail("parallelism", "must be greater than 0")
	}
	if in.ClientConnection.Burst < 0 {
		r.fail("clientConnection.burst", "must not be negative")
	}
	if n := kinds.FindNode(r.root, "clientConnection.qps"); n != nil && n.Tag != "!!int" && n.Tag != "!!float" && n.Tag != "!!null" {
		r.fail("clientConnection.qps", "must be a number")
	}
	e := &in.LeaderElection
	if !e.LeaderElect {
		return
	}
	for _, d := range []struct {
		field string
		value metav1.Duration
	}{{"leaseDuration", e.LeaseDuration}, {"renewDeadline", e.RenewDeadline}, {"retryPeriod", e.RetryPeriod}} {
		if d.value.Duration <= 0 {
			r.fail("leaderElection."+d.field, "must be greater than 0")
		}
	}
	if e.LeaseDuration.Duration <= e.RenewDeadline.Duration {
		r.fail("leaderElection.leaseDuration", "must be longer than renewDeadline, which is %v", e.RenewDeadline.Duration)
	}
	if e.ResourceLock != "leases" {
		r.fail("leaderElection.resourceLock", "must be leases")
	}
}
