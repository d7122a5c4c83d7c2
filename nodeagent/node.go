package nodeagent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// nodeState is what the agent knows of its own Node object.
type nodeState struct {
	timer
	template *corev1.Node // as it should be registered
	seen     *corev1.Node // as last seen in the API

	hostIPs     []corev1.HostIP
	allocatable resources
	images      []corev1.ContainerImage // the largest first
	conditions  []corev1.NodeCondition  // as last written
	problem     string                  // why it is not ready
	short       [3]time.Time            // when it was last short of memory, disk and PIDs, in the order of their conditions

	registered bool
	announced  bool // its conditions have been told as events
	exists     bool // a Node of this name was there: it has to be updated
	tag        uint64
	dirty      bool
	retryAt    time.Time
	retries    int
	wroteAt    time.Time
}

// nodeCondition is one that a healthy node has.
type nodeCondition struct {
	kind            corev1.NodeConditionType
	status          corev1.ConditionStatus
	reason, message string
	event           string
}

// nodeConditions are those of a healthy node, in the kubelet's order.
var nodeConditions = [...]nodeCondition{
	{corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"},
	{corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"},
	{corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"},
	{corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "kubelet is posting ready status", "NodeReady"},
}

// ailingConditions are the same of one that is not well.
var ailingConditions = [len(nodeConditions)]nodeCondition{
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, "KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, "KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"},
	{corev1.NodePIDPressure, corev1.ConditionTrue, "KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"},
	{corev1.NodeReady, corev1.ConditionFalse, "KubeletNotReady", "", "NodeNotReady"},
}

const readyCondition = len(nodeConditions) - 1

// condition is what the i-th condition is to say now. What was short is so for a while
// longer, as it would else come and go.
func (a *Agent) condition(i int) nodeCondition {
	n := &a.node
	switch {
	case i == readyCondition && n.problem != "":
		c := ailingConditions[i]
		c.message = n.problem
		return c
	case i != readyCondition && !n.short[i].IsZero() && a.now.Sub(n.short[i]) < a.cfg.PressureTransition:
		return ailingConditions[i]
	}
	return nodeConditions[i]
}

func (a *Agent) hostSeen(in HostSeen) {
	n := &a.node
	n.problem = in.Host.Problem
	for i, short := range [...]bool{in.Host.Memory, in.Host.Disk, in.Host.PIDs} {
		if short {
			n.short[i] = a.now
		}
	}
	if n.template == nil {
		return
	}
	for i := range nodeConditions {
		want := a.condition(i)
		if old := findNodeCondition(n.conditions, want.kind); old != nil && (old.Status != want.status || old.Message != want.message) {
			n.dirty = true
		}
	}
	if n.dirty {
		a.syncNode()
	}
}

func (a *Agent) booted(in Booted) {
	seen := a.node.seen
	a.reset()
	n := &a.node
	n.template, n.seen, n.dirty = in.Node, seen, true
	for _, addr := range in.Node.Status.Addresses {
		if addr.Type == corev1.NodeInternalIP {
			n.hostIPs = append(n.hostIPs, corev1.HostIP{IP: addr.Address})
		}
	}
	have := in.Node.Status.Allocatable
	if len(have) == 0 {
		have = in.Node.Status.Capacity
	}
	n.allocatable = listed(have)
	if q, ok := have[corev1.ResourcePods]; ok {
		n.allocatable.pods = q.Value()
	}
	a.knownImages(in.Node.Status.Images)
	n.images = slices.Clone(in.Node.Status.Images)
	slices.SortStableFunc(n.images, largerImage)
	a.sayNode(corev1.EventTypeNormal, "Starting", "Starting kubelet.")
	a.syncNode()
}

func (a *Agent) nodeSeen(in NodeSeen) {
	a.node.seen = in.Node
	if a.node.template == nil || !a.node.registered {
		return
	}
	want := a.condition(readyCondition)
	if c := findNodeCondition(in.Node.Status.Conditions, corev1.NodeReady); c == nil || c.Status != want.status {
		a.node.dirty = true
	}
	a.syncNode()
}

// syncNode registers the node, or writes its status where that has changed, not
// more often than NodeStatusUpdate.
func (a *Agent) syncNode() {
	n := &a.node
	n.timer.seq = 0
	if n.tag != 0 || n.template == nil {
		return
	}
	due := n.retryAt
	if n.registered && due.IsZero() && !n.wroteAt.IsZero() {
		due = n.wroteAt.Add(a.cfg.NodeStatusUpdate)
	}
	if !n.dirty || a.now.Before(due) {
		if !n.dirty {
			due = time.Time{}
		}
		a.alarms.set(&n.timer, due)
		return
	}
	a.alarms.set(&n.timer, time.Time{})
	n.dirty, n.retryAt = false, time.Time{}
	if n.registered || n.exists {
		a.writeNodeStatus()
		return
	}
	node := a.nodeObject(n.template)
	if !n.announced {
		n.announced = true
		a.sayConditions(nil)
	}
	n.tag = a.write(nil, api.Create(node))
}

func (a *Agent) writeNodeStatus() {
	n := &a.node
	base := n.template
	if n.seen != nil {
		base = n.seen
		if n.registered {
			a.sayConditions(n.seen.Status.Conditions)
		}
		was, is := n.seen.Status.NodeInfo.BootID, n.template.Status.NodeInfo.BootID
		if !n.registered && was != "" && is != "" && was != is {
			a.sayNode(corev1.EventTypeWarning, "Rebooted", "Node "+a.name+" has been rebooted, boot id: "+is)
		}
	}
	n.tag = a.write(nil, api.UpdateStatus(a.nodeObject(base)))
}

// nodeObject is a copy of the node with the labels and the status that the agent
// gives it, and without the marks of any version.
func (a *Agent) nodeObject(base *corev1.Node) *corev1.Node {
	node := *base
	node.UID, node.ResourceVersion = "", ""
	if node.Labels = maps.Clone(base.Labels); node.Labels == nil {
		node.Labels = map[string]string{}
	}
	put := func(key, value string) {
		if value != "" && node.Labels[key] == "" {
			node.Labels[key] = value
		}
	}
	info := a.nodeInfo()
	put(corev1.LabelHostname, a.name)
	put(corev1.LabelOSStable, info.OperatingSystem)
	put(corev1.LabelArchStable, info.Architecture)
	node.Status = a.nodeStatus(base, info)
	return &node
}

// nodeInfo is the template's, with what Kubernetes requires filled in.
func (a *Agent) nodeInfo() corev1.NodeSystemInfo {
	info := a.node.template.Status.NodeInfo
	if info.OperatingSystem == "" {
		info.OperatingSystem = "linux"
	}
	if info.Architecture == "" {
		info.Architecture = "amd64"
	}
	return info
}

func (a *Agent) nodeStatus(base *corev1.Node, info corev1.NodeSystemInfo) corev1.NodeStatus {
	n := &a.node
	s := n.template.Status
	s.Phase = ""
	s.NodeInfo = info
	if len(s.Allocatable) == 0 {
		s.Allocatable = s.Capacity
	}
	s.Addresses = slices.Clone(s.Addresses)
	if !slices.ContainsFunc(s.Addresses, func(x corev1.NodeAddress) bool { return x.Type == corev1.NodeHostName }) {
		s.Addresses = append(s.Addresses, corev1.NodeAddress{Type: corev1.NodeHostName, Address: a.name})
	}
	s.Images = slices.Clone(n.images[:min(len(n.images), a.cfg.NodeImagesMax)])
	s.VolumesAttached = base.Status.VolumesAttached
	s.Conditions = a.drawConditions(base.Status.Conditions)
	n.conditions = s.Conditions
	return s
}

// drawConditions gives the node's conditions anew: those of others as they are,
// the agent's own after them.
func (a *Agent) drawConditions(seen []corev1.NodeCondition) []corev1.NodeCondition {
	list := make([]corev1.NodeCondition, 0, len(seen)+len(nodeConditions))
	for _, c := range seen {
		if !ownedNodeCondition(c.Type) {
			list = append(list, c)
		}
	}
	now := a.stamp()
	for i := range nodeConditions {
		want := a.condition(i)
		since := now
		if old := findNodeCondition(seen, want.kind); old != nil && old.Status == want.status && !old.LastTransitionTime.IsZero() {
			since = old.LastTransitionTime
		} else if old == nil {
			if mine := findNodeCondition(a.node.conditions, want.kind); mine != nil {
				since = mine.LastTransitionTime
			}
		}
		list = append(list, corev1.NodeCondition{Type: want.kind, Status: want.status, Reason: want.reason, Message: want.message,
			LastHeartbeatTime: now, LastTransitionTime: since})
	}
	return list
}

func ownedNodeCondition(t corev1.NodeConditionType) bool {
	for i := range nodeConditions {
		if nodeConditions[i].kind == t {
			return true
		}
	}
	return false
}

func findNodeCondition(list []corev1.NodeCondition, t corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range list {
		if list[i].Type == t {
			return &list[i]
		}
	}
	return nil
}

func (a *Agent) nodeWrote(in Wrote) {
	n := &a.node
	if n.tag != in.Tag {
		return
	}
	n.tag = 0
	switch {
	case in.Err == nil:
		n.registered, n.retries, n.wroteAt = true, 0, a.now
	case !n.registered && !n.exists && apierrors.IsAlreadyExists(in.Err):
		n.exists, n.dirty = true, true
	case n.registered && apierrors.IsNotFound(in.Err):
		// The Node was deleted: as with the kubelet, only a restart registers anew.
	default:
		if apierrors.IsNotFound(in.Err) {
			n.exists = false
		}
		wait := min(a.cfg.RegisterRetry<<min(n.retries, 16), a.cfg.RegisterRetryMax)
		n.retries++
		n.dirty, n.retryAt = true, a.now.Add(wait)
	}
	a.syncNode()
}

// nodeImage notes that an image has come, for the node's status.
func (a *Agent) nodeImage(name string, sizeBytes int64) {
	n := &a.node
	n.images = slices.DeleteFunc(n.images, func(i corev1.ContainerImage) bool { return slices.Contains(i.Names, name) })
	image := corev1.ContainerImage{Names: []string{name}, SizeBytes: sizeBytes}
	at, _ := slices.BinarySearchFunc(n.images, image, largerImage)
	n.images = slices.Insert(n.images, at, image)
	if at < a.cfg.NodeImagesMax {
		n.dirty = true
		a.syncNode()
	}
}

func largerImage(a, b corev1.ContainerImage) int {
	if c := cmp.Compare(b.SizeBytes, a.SizeBytes); c != 0 {
		return c
	}
	return slices.Compare(a.Names, b.Names)
}

// sayConditions records an event for each condition that changes.
func (a *Agent) sayConditions(seen []corev1.NodeCondition) {
	for i := range nodeConditions {
		want := a.condition(i)
		if old := findNodeCondition(seen, want.kind); old == nil || old.Status != want.status {
			a.sayNode(corev1.EventTypeNormal, want.event, "Node "+a.name+" status is now: "+want.event)
		}
	}
}

func (a *Agent) sayNode(kind, reason, message string) {
	about := a.node.seen
	if about == nil {
		about = a.node.template
	}
	a.do(Say{api.Note{About: kinds.Object(about), Type: kind, Reason: reason, Message: message, Component: componentName, Host: a.name}})
}
