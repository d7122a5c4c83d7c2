package replicaset

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl/ownership"
	"seatrial.dev/seatrial/ctrl/podset"
)

// Keys asks for a set when it changed, when a pod of its changed in what is
// counted, and when a pod that nobody controls came to match it.
func (c *Controller) Keys(v *view.View, e store.Event, add func(kinds.Ref)) {
	if e.Ref.Kind == c.face.kind {
		if e.Type != store.Deleted {
			add(e.Ref)
		}
		return
	}
	var old, now *corev1.Pod
	if e.Old != nil {
		old = e.Old.(*corev1.Pod)
	}
	if e.Type != store.Deleted {
		now = e.Object.(*corev1.Pod)
	}
	if !podset.Changed(old, now) {
		return
	}
	was, is := c.parent(v, old), c.parent(v, now)
	if was.Name != "" {
		add(was)
	}
	if is.Name != "" && is != was {
		add(is)
	}
	if now != nil && now.DeletionTimestamp == nil && ownership.Controller(now) == nil && matchMayHaveChanged(old, now) {
		c.adopters(v, now, add)
	}
}

// parent is the ref of the pod's controller if that is a set of ours that exists.
func (c *Controller) parent(v *view.View, p *corev1.Pod) kinds.Ref {
	if p == nil {
		return kinds.Ref{}
	}
	ref, uid, ok := ownership.ParentOf(p, c.face.kind)
	if !ok {
		return kinds.Ref{}
	}
	if o := v.Object(ref); o == nil || o.GetUID() != uid {
		return kinds.Ref{}
	}
	return ref
}

func matchMayHaveChanged(old, now *corev1.Pod) bool {
	return old == nil || ownership.Controller(old) != nil || !maps.Equal(old.Labels, now.Labels)
}

func (c *Controller) adopters(v *view.View, p *corev1.Pod, add func(kinds.Ref)) {
	if len(p.Labels) == 0 {
		return // nothing selects a pod without labels: empty selectors match nothing here
	}
	for o := range view.In[kinds.Object](v, c.face.kind, p.Namespace) {
		if s := selectorOf(c.face.read(o).Spec.Selector); !s.Empty() && s.Matches(labels.Set(p.Labels)) {
			add(kinds.RefOf(o))
		}
	}
}

// selectorOf compiles a selector. One that does not compile selects nothing;
// validation keeps such away.
func selectorOf(s *metav1.LabelSelector) labels.Selector {
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing()
	}
	return out
}
