package revision

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
	"seatrial.dev/seatrial/ctrl/ownership"
)

// HashLabel is the label by which pods name their revision.
const HashLabel = appsv1.ControllerRevisionHashLabelKey

// History is a workload's revisions.
type History struct {
	Old   []*appsv1.ControllerRevision // all but today's, in the order of their numbers
	Today *appsv1.ControllerRevision   // of the present template; nil after a collision
	// Collided says that the name of today's revision is taken by another: the
	// collision count must go up.
	Collided bool
}

// Hash is the end of a revision's name.
func Hash(r *appsv1.ControllerRevision) string { return r.Labels[HashLabel] }

// Named finds a revision by its name, or nil.
func (h *History) Named(name string) *appsv1.ControllerRevision {
	if h.Today != nil && h.Today.Name == name {
		return h.Today
	}
	for _, r := range h.Old {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Sync claims a workload's revisions and plans what makes the present template the
// newest of them: a new revision, or a higher number for an old one.
func Sync(v *view.View, owner kinds.Object, selector labels.Selector, template *corev1.PodTemplateSpec, collisions *int32, p *ctrl.Plan) (h History) {
	data := dataOf(template)
	newest := int64(0)
	for _, r := range claimed(v, owner, selector, p) {
		newest = max(newest, r.Revision)
		if h.Today == nil && sameData(r.Data.Raw, data) {
			h.Today = r
		} else {
			h.Old = append(h.Old, r)
		}
	}
	slices.SortFunc(h.Old, func(a, b *appsv1.ControllerRevision) int {
		return cmp.Or(cmp.Compare(a.Revision, b.Revision), strings.Compare(a.Name, b.Name))
	})
	switch {
	case h.Today == nil:
		h.create(v, owner, template, data, collisions, newest+1, p)
	case h.Today.Revision < newest:
		r := *h.Today
		r.Revision = newest + 1
		h.Today = &r
		p.Write(api.Update(&r))
	}
	return h
}

func claimed(v *view.View, owner kinds.Object, selector labels.Selector, p *ctrl.Plan) (out []*appsv1.ControllerRevision) {
	for o := range v.Owned(owner.GetUID()) {
		if r, ok := o.(*appsv1.ControllerRevision); ok && ownership.Controls(owner, r) {
			out = append(out, r)
		}
	}
	for r := range view.Ownerless[*appsv1.ControllerRevision](v, kinds.ControllerRevision, owner.GetNamespace()) {
		if ownership.Claim(owner, r, selector.Matches(labels.Set(r.Labels))) == ownership.Adopt {
			p.Write(ownership.AdoptWrite(owner, r))
			out = append(out, r)
		}
	}
	return out
}

func (h *History) create(v *view.View, owner kinds.Object, template *corev1.PodTemplateSpec, data []byte, collisions *int32, number int64, p *ctrl.Plan) {
	hash := hashOf(data, collisions)
	key := kinds.Key{Namespace: owner.GetNamespace(), Name: owner.GetName() + "-" + hash}
	if view.Get[*appsv1.ControllerRevision](v, kinds.ControllerRevision, key) != nil {
		h.Collided = true
		return
	}
	l := maps.Clone(template.Labels)
	if l == nil {
		l = map[string]string{}
	}
	l[HashLabel] = hash
	h.Today = &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, Labels: l,
			OwnerReferences: []metav1.OwnerReference{ownership.Ref(owner)},
		},
		Data: runtime.RawExtension{Raw: data}, Revision: number,
	}
	p.Write(api.Create(h.Today))
}

// Clean plans the deletion of the oldest revisions that no pod is of, beyond limit.
func (h *History) Clean(limit *int32, inUse func(*appsv1.ControllerRevision) bool, p *ctrl.Plan) {
	keep := 10 // the API's default
	if limit != nil {
		keep = int(*limit)
	}
	unused := slices.DeleteFunc(slices.Clone(h.Old), inUse)
	for _, r := range unused[:max(0, len(unused)-keep)] {
		p.Write(api.Delete(kinds.RefOf(r), r.UID))
	}
}

// Template reads the template that a revision holds.
func Template(r *appsv1.ControllerRevision) (corev1.PodTemplateSpec, error) {
	var t struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	err := json.Unmarshal(r.Data.Raw, &t)
	return t.Spec.Template, err
}

// dataOf is a template in the form of a strategic merge patch of the workload, which
// is what kubectl rollout undo applies.
func dataOf(template *corev1.PodTemplateSpec) []byte {
	var fields map[string]any
	body, err := json.Marshal(template)
	if err == nil {
		err = json.Unmarshal(body, &fields)
	}
	if err != nil {
		panic("revision: a template that is no JSON: " + err.Error())
	}
	fields["$patch"] = "replace"
	body, err = json.Marshal(map[string]any{"spec": map[string]any{"template": fields}})
	if err != nil {
		panic("revision: a template that is no JSON: " + err.Error())
	}
	return body
}

func sameData(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var compact bytes.Buffer
	return json.Compact(&compact, a) == nil && bytes.Equal(compact.Bytes(), b)
}

// hashOf is an FNV hash in characters that make no words.
func hashOf(data []byte, collisions *int32) string {
	const safe = "bcdfghjklmnpqrstvwxz2456789"
	h := fnv.New32a()
	h.Write(data)
	if collisions != nil {
		h.Write(binary.LittleEndian.AppendUint32(nil, uint32(*collisions)))
	}
	digits := []byte(strconv.FormatUint(uint64(h.Sum32()), 10))
	for i, d := range digits {
		digits[i] = safe[int(d)%len(safe)]
	}
	return string(digits)
}
