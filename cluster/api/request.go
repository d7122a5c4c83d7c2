package api

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/kinds"
)

// Verb is what a Request does.
type Verb uint8

// The writing verbs. Reads go to a view, or to the store itself.
const (
	VerbCreate Verb = iota + 1
	VerbUpdate
	VerbPatch
	VerbDelete
)

// String is Kubernetes' name of the verb.
func (v Verb) String() string { return [...]string{"", "create", "update", "patch", "delete"}[v] }

// GraceDefault asks for the grace period that the pod itself names.
const GraceDefault int64 = -1

// The subresources that Do knows.
const (
	SubStatus   = "status"
	SubScale    = "scale"
	SubBinding  = "binding"
	SubEviction = "eviction"
	SubFinalize = "finalize" // spec.finalizers of a namespace
)

// Request is one write. Use the constructors below; they say what each verb
// needs.
type Request struct {
	Verb        Verb
	Ref         kinds.Ref
	Subresource string
	Object      kinds.Object // body of create and update: the caller's own copy, the store's afterwards
	Patch       []byte       // body of patch
	PatchType   types.PatchType
	Node        string // binding: the node
	Replicas    int32  // scale: the replicas asked for

	UID         types.UID // precondition: the object's UID; "" is any
	RV          string    // precondition: the object's resourceVersion; "" is any
	Grace       int64     // delete, eviction: seconds, or GraceDefault
	Propagation metav1.DeletionPropagation
	DryRun      bool // check and answer, store nothing
	Owners      bool // store the object's managedFields; else those that are stored stay
}

// Create stores a new object. An empty name with a generateName gets a suffix.
func Create(o kinds.Object) Request {
	return Request{Verb: VerbCreate, Ref: kinds.RefOf(o), Object: o}
}

// Update replaces everything but the status. The object's resourceVersion, where
// set, is a precondition, and so is its UID.
func Update(o kinds.Object) Request {
	return Request{Verb: VerbUpdate, Ref: kinds.RefOf(o), Object: o, UID: o.GetUID(), RV: o.GetResourceVersion()}
}

// UpdateStatus replaces the status alone, with the preconditions of Update. Clear
// RV for "the last writer wins".
func UpdateStatus(o kinds.Object) Request {
	r := Update(o)
	r.Subresource = SubStatus
	return r
}

// Patch changes an object by a JSON, merge or strategic merge patch.
func Patch(ref kinds.Ref, t types.PatchType, body []byte) Request {
	return Request{Verb: VerbPatch, Ref: ref, PatchType: t, Patch: body}
}

// Delete removes an object, as Kubernetes does it: gracefully for a pod on a
// node, after the finalizers for an object that has any. uid "" deletes whatever
// bears the name.
func Delete(ref kinds.Ref, uid types.UID) Request {
	return Request{Verb: VerbDelete, Ref: ref, UID: uid, Grace: GraceDefault}
}

// Bind assigns a pod to a node. It fails with a conflict if the pod has one.
func Bind(pod kinds.Key, uid types.UID, node string) Request {
	return Request{Verb: VerbCreate, Ref: kinds.Ref{Kind: kinds.Pod, Key: pod}, Subresource: SubBinding, UID: uid, Node: node}
}

// Scale sets the replicas of a workload.
func Scale(ref kinds.Ref, replicas int32) Request {
	return Request{Verb: VerbUpdate, Ref: ref, Subresource: SubScale, Replicas: replicas}
}

// Evict deletes a pod if no disruption budget forbids it.
func Evict(pod kinds.Key, uid types.UID) Request {
	return Request{Verb: VerbCreate, Ref: kinds.Ref{Kind: kinds.Pod, Key: pod}, Subresource: SubEviction, UID: uid, Grace: GraceDefault}
}

// String names the write: "update deployment/default/web status".
func (r Request) String() string {
	s := r.Verb.String() + " " + r.Ref.String()
	if r.Ref.Name == "" && r.Object != nil {
		s += r.Object.GetGenerateName() + "*"
	}
	switch {
	case r.Subresource == SubBinding:
		return fmt.Sprintf("bind %s to %s", r.Ref, r.Node)
	case r.Subresource == SubScale:
		return fmt.Sprintf("scale %s to %d", r.Ref, r.Replicas)
	case r.Subresource != "":
		s += " " + r.Subresource
	}
	return s
}

// Note is an event for people, recorded as an Event object about another object.
// Equal notes are counted on one object, as Kubernetes' recorder does.
type Note struct {
	About     kinds.Object // the object it is about; read only
	FieldPath string       // e.g. "spec.containers{web}"; may be empty
	Type      string       // corev1.EventTypeNormal or EventTypeWarning
	Reason    string       // "Scheduled"
	Message   string
	Component string // who says so: "default-scheduler"
	Host      string // the node it happened on; may be empty
}

// Normal and Warning make the commonest notes.
func Normal(about kinds.Object, component, reason, message string) Note {
	return Note{About: about, Type: corev1.EventTypeNormal, Reason: reason, Message: message, Component: component}
}

// Warning is Normal for something that went wrong.
func Warning(about kinds.Object, component, reason, message string) Note {
	return Note{About: about, Type: corev1.EventTypeWarning, Reason: reason, Message: message, Component: component}
}
