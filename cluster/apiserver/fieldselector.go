package apiserver

import (
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/selection"

	"seatrial.dev/seatrial/cluster/kinds"
)

// fieldSelector is a field selector whose fields have been found.
type fieldSelector struct {
	terms []fieldTerm
}

type fieldTerm struct {
	value func(kinds.Object) string
	want  string
	not   bool
}

func (s *fieldSelector) matches(o kinds.Object) bool {
	for i := range s.terms {
		if t := &s.terms[i]; (t.value(o) == t.want) == t.not {
			return false
		}
	}
	return true
}

// newFieldSelector finds the fields of a selector; one that the kind does not offer
// is a 400.
func newFieldSelector(r *resource, sel fields.Selector) (*fieldSelector, error) {
	s := &fieldSelector{}
	for _, req := range sel.Requirements() {
		value, err := fieldOf(r, req.Field)
		if err != nil {
			return nil, err
		}
		s.terms = append(s.terms, fieldTerm{value, req.Value, req.Operator == selection.NotEquals})
	}
	return s, nil
}

func fieldOf(r *resource, name string) (func(kinds.Object) string, error) {
	switch {
	case name == "metadata.name":
		return func(o kinds.Object) string { return o.GetName() }, nil
	case name == "metadata.namespace" && r.namespaced:
		return func(o kinds.Object) string { return o.GetNamespace() }, nil
	}
	own := kindFields[r.kind]
	if f := own[name]; f != nil {
		return f, nil
	}
	if own != nil {
		return nil, apierrors.NewBadRequest("field label not supported: " + name)
	}
	return nil, apierrors.NewBadRequest(fmt.Sprintf("%q is not a known field selector: only \"metadata.name\", \"metadata.namespace\"", name))
}

type fieldsOf map[string]func(kinds.Object) string

// kindFields are the fields that kinds offer beside their name and namespace
// (kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors).
var kindFields = map[kinds.Kind]fieldsOf{
	kinds.Pod: {
		"spec.nodeName":            podField(func(p *corev1.Pod) string { return p.Spec.NodeName }),
		"spec.restartPolicy":       podField(func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }),
		"spec.schedulerName":       podField(func(p *corev1.Pod) string { return p.Spec.SchedulerName }),
		"spec.serviceAccountName":  podField(func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }),
		"spec.hostNetwork":         podField(func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }),
		"status.phase":             podField(func(p *corev1.Pod) string { return string(p.Status.Phase) }),
		"status.podIP":             podField(func(p *corev1.Pod) string { return p.Status.PodIP }),
		"status.podIPs":            podField(podIPs),
		"status.nominatedNodeName": podField(func(p *corev1.Pod) string { return p.Status.NominatedNodeName }),
	},
	kinds.Event: {
		"involvedObject.kind":            eventField(func(e *corev1.Event) string { return e.InvolvedObject.Kind }),
		"involvedObject.namespace":       eventField(func(e *corev1.Event) string { return e.InvolvedObject.Namespace }),
		"involvedObject.name":            eventField(func(e *corev1.Event) string { return e.InvolvedObject.Name }),
		"involvedObject.uid":             eventField(func(e *corev1.Event) string { return string(e.InvolvedObject.UID) }),
		"involvedObject.apiVersion":      eventField(func(e *corev1.Event) string { return e.InvolvedObject.APIVersion }),
		"involvedObject.resourceVersion": eventField(func(e *corev1.Event) string { return e.InvolvedObject.ResourceVersion }),
		"involvedObject.fieldPath":       eventField(func(e *corev1.Event) string { return e.InvolvedObject.FieldPath }),
		"regarding.kind":                 eventField(func(e *corev1.Event) string { return e.InvolvedObject.Kind }),
		"regarding.namespace":            eventField(func(e *corev1.Event) string { return e.InvolvedObject.Namespace }),
		"regarding.name":                 eventField(func(e *corev1.Event) string { return e.InvolvedObject.Name }),
		"regarding.uid":                  eventField(func(e *corev1.Event) string { return string(e.InvolvedObject.UID) }),
		"reason":                         eventField(func(e *corev1.Event) string { return e.Reason }),
		"reportingComponent":             eventField(func(e *corev1.Event) string { return e.ReportingController }),
		"reportingController":            eventField(func(e *corev1.Event) string { return e.ReportingController }),
		"source":                         eventField(eventSource),
		"type":                           eventField(func(e *corev1.Event) string { return e.Type }),
	},
	kinds.Node: {
		"spec.unschedulable": func(o kinds.Object) string { return strconv.FormatBool(o.(*corev1.Node).Spec.Unschedulable) },
	},
	kinds.Secret:    {"type": func(o kinds.Object) string { return string(o.(*corev1.Secret).Type) }},
	kinds.Namespace: {"status.phase": func(o kinds.Object) string { return string(o.(*corev1.Namespace).Status.Phase) }},
	kinds.ReplicationController: {
		"status.replicas": func(o kinds.Object) string {
			return strconv.Itoa(int(o.(*corev1.ReplicationController).Status.Replicas))
		},
	},
	kinds.ReplicaSet: {
		"status.replicas": func(o kinds.Object) string { return strconv.Itoa(int(o.(*appsv1.ReplicaSet).Status.Replicas)) },
	},
	kinds.Job: {
		"status.successful": func(o kinds.Object) string { return strconv.Itoa(int(o.(*batchv1.Job).Status.Succeeded)) },
	},
	kinds.Service: {
		"spec.clusterIP": func(o kinds.Object) string { return o.(*corev1.Service).Spec.ClusterIP },
		"spec.type":      func(o kinds.Object) string { return string(o.(*corev1.Service).Spec.Type) },
	},
}

func podField(f func(*corev1.Pod) string) func(kinds.Object) string {
	return func(o kinds.Object) string { return f(o.(*corev1.Pod)) }
}

func eventField(f func(*corev1.Event) string) func(kinds.Object) string {
	return func(o kinds.Object) string { return f(o.(*corev1.Event)) }
}

func podIPs(p *corev1.Pod) string {
	ips := make([]string, len(p.Status.PodIPs))
	for i, ip := range p.Status.PodIPs {
		ips[i] = ip.IP
	}
	return strings.Join(ips, ",")
}

func eventSource(e *corev1.Event) string {
	if e.Source.Component != "" {
		return e.Source.Component
	}
	return e.ReportingController
}
