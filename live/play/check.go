package play

import (
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/scenarios"
)

// complaints gathers what is wrong with a scenario.
type complaints struct {
	scn  *scenarios.Scenario
	errs []error
}

// line complains of a line of the scenario, or of its file for 0.
func (c *complaints) line(n int, format string, args ...any) {
	at := c.scn.File
	if n > 0 {
		at = fmt.Sprintf("%s:%d", at, n)
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

// Check refuses, before anything is done, what only a simulation can do.
func Check(scn *scenarios.Scenario) error {
	c := &complaints{scn: scn}
	if !scn.Start.IsZero() {
		c.line(0, "spec.start: %s: the lab's calendar is this machine's; leave it out, or run it by --world sim", scn.Start.Format(time.RFC3339))
	}
	for _, o := range scn.Objects {
		c.object(0, o)
	}
	for _, s := range scn.Steps {
		switch a := s.Action.(type) {
		case scenarios.Apply:
			for _, o := range a.Objects {
				c.object(s.Line, o)
			}
		case scenarios.Request:
			c.line(s.Line, "a recorded request names what a simulation made by its seed; it can be repeated there only (--world sim)")
		case scenarios.Cut:
			c.parties(s.Line, a.From, a.To)
		case scenarios.Heal:
			c.parties(s.Line, a.From, a.To)
		}
	}
	return errors.Join(c.errs...)
}

func (c *complaints) parties(line int, groups ...[]string) {
	for _, names := range groups {
		for _, n := range names {
			if n == scenarios.Registry {
				c.line(line, "the lab has no host %q: its images are there from the start", n)
			}
		}
	}
}

// object complains of pods that a lab's agents cannot run.
func (c *complaints) object(line int, o kinds.Object) {
	ref := kinds.RefOf(o)
	if s, ok := o.(*appsv1.StatefulSet); ok {
		for i := range s.Spec.VolumeClaimTemplates {
			c.line(line, "%s: volumeClaimTemplates: %s: %s", ref, s.Spec.VolumeClaimTemplates[i].Name, noClaims)
		}
	}
	spec := api.PodSpecOf(o)
	if spec == nil {
		return
	}
	for i := range spec.Volumes {
		if problem := volumeProblem(&spec.Volumes[i]); problem != "" {
			c.line(line, "%s: volume %s: %s", ref, spec.Volumes[i].Name, problem)
		}
	}
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			if len(list[i].VolumeDevices) > 0 {
				c.line(line, "%s: container %s: volumeDevices: %s", ref, list[i].Name, noClaims)
			}
		}
	}
}

// noClaims says why a claim is refused.
const noClaims = "the lab has no persistent volumes; run it by --world sim, or with an emptyDir or a hostPath"

// volumeProblem is why a lab's agent cannot mount a volume; "" if it can.
func volumeProblem(v *corev1.Volume) string {
	switch s := v.VolumeSource; {
	case s.EmptyDir != nil, s.HostPath != nil, s.ConfigMap != nil, s.Secret != nil, s.DownwardAPI != nil, s.Projected != nil:
		return ""
	case s == corev1.VolumeSource{}:
		return "" // an emptyDir
	case s.PersistentVolumeClaim != nil, s.Ephemeral != nil:
		return noClaims
	}
	return "the lab's agents have volumes of the kinds emptyDir, hostPath, configMap, secret, downwardAPI and projected only; run it by --world sim, or with one of these"
}
