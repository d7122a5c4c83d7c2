package ownership

import (
	"encoding/json"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

var yes = true //det:ok a constant that pointers can show to; nobody writes to it

// Ref is the reference by which owner controls an object: it is the controller,
// and foreground deletion of the owner waits for the object.
func Ref(owner kinds.Object) metav1.OwnerReference {
	gvk := kinds.Of(owner).Info().GVK
	return metav1.OwnerReference{
		APIVersion: gvk.GroupVersion().String(), Kind: gvk.Kind,
		Name: owner.GetName(), UID: owner.GetUID(),
		Controller: &yes, BlockOwnerDeletion: &yes,
	}
}

// Controller is the object's controller reference, or nil. Read only.
func Controller(o metav1.Object) *metav1.OwnerReference { return metav1.GetControllerOfNoCopy(o) }

// ControllerUID is the UID of the object's controller, "" without one.
func ControllerUID(o metav1.Object) types.UID {
	if r := Controller(o); r != nil {
		return r.UID
	}
	return ""
}

// Controls says whether owner is the object's controller.
func Controls(owner, o metav1.Object) bool {
	r := Controller(o)
	return r != nil && r.UID == owner.GetUID()
}

// Parent finds the kind and key of an object's controller; ok is false without
// one, or when it is of a kind outside the scheme.
func Parent(o metav1.Object) (ref kinds.Ref, uid types.UID, ok bool) {
	r := Controller(o)
	if r == nil {
		return kinds.Ref{}, "", false
	}
	ref, ok = RefOf(*r, o.GetNamespace())
	return ref, r.UID, ok
}

// ParentOf is Parent for a controller of one kind: quick for an object that has
// none, or one of another kind.
func ParentOf(o metav1.Object, k kinds.Kind) (ref kinds.Ref, uid types.UID, ok bool) {
	r := Controller(o)
	if r == nil {
		return kinds.Ref{}, "", false
	}
	i := k.Info()
	if r.Kind != i.GVK.Kind || !sameVersion(r.APIVersion, i.GVK.Group, i.GVK.Version) {
		return kinds.Ref{}, "", false
	}
	ref = kinds.Ref{Kind: k, Key: kinds.Key{Name: r.Name}}
	if i.Namespaced {
		ref.Namespace = o.GetNamespace()
	}
	return ref, r.UID, true
}

func sameVersion(apiVersion, group, version string) bool {
	if group == "" {
		return apiVersion == version
	}
	rest, ok := strings.CutPrefix(apiVersion, group)
	return ok && len(rest) == len(version)+1 && rest[0] == '/' && rest[1:] == version
}

// RefOf finds the kind and key that an owner reference of an object in namespace
// names; ok is false for a kind outside the scheme.
func RefOf(r metav1.OwnerReference, namespace string) (ref kinds.Ref, ok bool) {
	gv, err := schema.ParseGroupVersion(r.APIVersion)
	if err != nil {
		return kinds.Ref{}, false
	}
	k, ok := kinds.ByGVK(gv.WithKind(r.Kind))
	if !ok {
		return kinds.Ref{}, false
	}
	if !k.Info().Namespaced {
		namespace = ""
	}
	return kinds.Ref{Kind: k, Key: kinds.Key{Namespace: namespace, Name: r.Name}}, true
}

// Verdict is what a controller does about one object.
type Verdict uint8

// The verdicts of Claim.
const (
	Ignore  Verdict = iota // not ours, and not to be made ours
	Keep                   // ours, and it matches
	Adopt                  // nobody's, and it matches
	Release                // ours, and it no longer matches
)

// Claim decides about an object that lies in the owner's namespace; matches says
// whether the owner's selector selects it. The rule is Kubernetes' ClaimObject:
// an owner that is being deleted changes no references, and nobody adopts an
// object that is being deleted.
func Claim(owner, o metav1.Object, matches bool) Verdict {
	leaving := owner.GetDeletionTimestamp() != nil
	switch r := Controller(o); {
	case r != nil && r.UID != owner.GetUID():
		return Ignore
	case r != nil && matches:
		return Keep
	case r != nil && !leaving:
		return Release
	case r == nil && matches && !leaving && o.GetDeletionTimestamp() == nil:
		return Adopt
	}
	return Ignore
}

// AdoptWrite makes owner the controller of an object.
func AdoptWrite(owner, o kinds.Object) api.Request {
	return patchOwners(o, Ref(owner))
}

// ReleaseWrite takes the references to these owners from an object.
func ReleaseWrite(o kinds.Object, owners ...types.UID) api.Request {
	var gone []any
	for _, uid := range owners {
		gone = append(gone, map[string]string{"$patch": "delete", "uid": string(uid)})
	}
	return patchOwners(o, gone...)
}

func patchOwners(o kinds.Object, owners ...any) api.Request {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": o.GetUID(), "ownerReferences": owners,
	}})
	if err != nil {
		panic("ownership: a reference that is no JSON: " + err.Error())
	}
	r := api.Patch(kinds.RefOf(o), types.StrategicMergePatchType, body)
	r.UID = o.GetUID()
	return r
}
