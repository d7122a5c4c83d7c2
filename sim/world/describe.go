package world

import (
	"fmt"
	"strings"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/nodeagent"
)

// describe writes an agent's input to the trace.
func (h *host) describe(in nodeagent.Input) {
	say := h.w.eng.Describe
	switch in := in.(type) {
	case nodeagent.Booted:
		say("agent starts", "node/"+h.name, "")
	case nodeagent.NodeSeen:
		say("sees", "node/"+h.name, "")
	case nodeagent.PodSeen:
		say("sees", kinds.RefOf(in.Pod).String(), "version "+in.Pod.ResourceVersion)
	case nodeagent.PodGone:
		say("sees gone", kinds.Ref{Kind: kinds.Pod, Key: in.Key}.String(), "")
	case nodeagent.ImagePulled:
		say("image pulled", h.pod(string(in.Pod)), in.Image+failed(in.Err))
	case nodeagent.SandboxReady:
		say("sandbox ready", h.pod(string(in.Pod)), in.IP+failed(in.Err))
	case nodeagent.SandboxGone:
		say("sandbox gone", h.pod(string(in.Pod)), "")
	case nodeagent.ContainerStarted:
		say("container started", h.pod(string(in.ID.Pod)), runOf(in.ID)+failed(in.Err))
	case nodeagent.ContainerExited:
		say("container exited", h.pod(string(in.ID.Pod)), strings.TrimSpace(fmt.Sprintf("%s, code %d %s", runOf(in.ID), in.ExitCode, in.Reason)))
	case nodeagent.HookDone:
		say("hook done", h.pod(string(in.ID.Pod)), runOf(in.ID)+failed(in.Err))
	case nodeagent.ProbeAnswered:
		say("probe answered", h.pod(string(in.ID.Pod)), fmt.Sprintf("%s %s: %v", runOf(in.ID), in.Probe, in.OK))
	case nodeagent.Wrote:
		say("answered", "node/"+h.name, answered(in.Err))
	case nodeagent.Woken:
		say("timer", "node/"+h.name, "")
	}
}

func runOf(id nodeagent.ContainerID) string {
	if id.Run == 0 {
		return id.Name
	}
	return fmt.Sprintf("%s, restart %d", id.Name, id.Run)
}

func failed(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}

// pod names a pod by its UID; only a trace asks for it, so it may search.
func (h *host) pod(uid string) string {
	for _, key := range sortedKeys(h.seen) {
		if string(h.seen[key]) == uid {
			return kinds.Ref{Kind: kinds.Pod, Key: key}.String()
		}
	}
	return "pod/" + uid
}
