package kinds

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Object is any API object of the scheme: a pointer to a type of k8s.io/api.
type Object interface {
	runtime.Object
	metav1.Object
}

// Kind is the number of a kind of the scheme; 0 is no kind. Numbers are dense,
// so a table by kind is an array. They are never written to a file or the wire.
type Kind uint8

// Key is an object's namespace (empty when its kind has none) and name.
type Key struct {
	Namespace, Name string
}

// KeyOf returns the key of an object.
func KeyOf(o metav1.Object) Key { return Key{o.GetNamespace(), o.GetName()} }

// String is "namespace/name", or "name" where there is no namespace.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// Compare orders keys by namespace, then name.
func (k Key) Compare(o Key) int {
	if c := strings.Compare(k.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(k.Name, o.Name)
}

// Ref names one object of one kind.
type Ref struct {
	Kind Kind
	Key
}

// RefOf returns the kind and the key of an object.
func RefOf(o Object) Ref { return Ref{Of(o), KeyOf(o)} }

// String is "kind/namespace/name" in lower case kind, as scenarios write it.
func (r Ref) String() string { return r.Kind.Lower() + "/" + r.Key.String() }

// Compare orders refs by kind, then key.
func (r Ref) Compare(o Ref) int {
	if c := cmp.Compare(r.Kind, o.Kind); c != 0 {
		return c
	}
	return r.Key.Compare(o.Key)
}

// Info is what is true of every object of a kind.
type Info struct {
	Kind       Kind
	GVK        schema.GroupVersionKind
	Plural     string   // resource name in paths: "pods"
	Singular   string   // "pod"
	ShortNames []string // "po"; the first is the one shown
	Namespaced bool
	Status     bool // has a status subresource
	Scale      bool // has a scale subresource
	typ        reflect.Type
}

// GVR is the group, version and resource of the kind.
func (i *Info) GVR() schema.GroupVersionResource { return i.GVK.GroupVersion().WithResource(i.Plural) }

// New returns a new empty object of the kind, with apiVersion and kind unset.
func (i *Info) New() Object { return reflect.New(i.typ).Interface().(Object) }

// Count is one more than the highest Kind: the length of an array by kind.
const Count = int(lastKind)

// All returns the table of kinds in the order of their numbers.
func All() []*Info { return infos[1:] }

// Info returns the row of the table; it panics on a Kind that does not exist.
func (k Kind) Info() *Info { return infos[k] }

// String is the kind's name: "Pod".
func (k Kind) String() string {
	if k == 0 || int(k) >= Count {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return infos[k].GVK.Kind
}

// Lower is the kind's name in lower case: "pod".
func (k Kind) Lower() string { return infos[k].Singular }

// Of returns the kind of an object; it panics for a type outside the scheme,
// which only a programming error can bring here: decoding refuses such types.
func Of(o runtime.Object) Kind {
	k, ok := byType[reflect.TypeOf(o).Elem()]
	if !ok {
		panic(fmt.Sprintf("kinds: type %T is not in the scheme", o))
	}
	return k
}

// ByGVK finds a kind by its group, version and kind.
func ByGVK(gvk schema.GroupVersionKind) (Kind, bool) { k, ok := byGVK[gvk]; return k, ok }

// ByGVR finds a kind by its group, version and plural.
func ByGVR(gvr schema.GroupVersionResource) (Kind, bool) { k, ok := byGVR[gvr]; return k, ok }

// ByName finds a kind by any of the names a person uses for it: kind, singular,
// plural or short name, in any case. Where two groups share a name, the kind
// with the lower number wins.
func ByName(name string) (Kind, bool) { k, ok := byName[strings.ToLower(name)]; return k, ok }

// Clone returns a deep copy of an object, for a writer to change.
func Clone[T Object](o T) T { return o.DeepCopyObject().(T) }
