package apiserver

import (
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/applyconfigurations"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// owners keeps account of who set which field, with the machinery of apimachinery
// (kubernetes.io/docs/reference/using-api/server-side-apply). Fields are known by
// the names they have in the storage version, also where an old version was sent.
type owners struct {
	types managedfields.TypeConverter
	mu    sync.Mutex
	by    map[ownerKey]*managedfields.FieldManager
}

type ownerKey struct {
	kind kinds.Kind
	sub  string
}

func newOwners() *owners {
	return &owners{types: applyconfigurations.NewTypeConverter(apiScheme), by: map[ownerKey]*managedfields.FieldManager{}}
}

// of is the field manager of a kind or of a subresource of it.
func (w *owners) of(k kinds.Kind, sub string) *managedfields.FieldManager {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := ownerKey{k, sub}
	if m := w.by[key]; m != nil {
		return m
	}
	gvk := k.Info().GVK
	m, err := managedfields.NewDefaultFieldManager(w.types, sameVersion{}, defaulter{}, creater{}, gvk, gvk.GroupVersion(), sub, notOwned(k, sub))
	if err != nil {
		panic(fmt.Sprintf("apiserver: field manager of %s: %v", gvk, err))
	}
	w.by[key] = m
	return m
}

// notOwned are the fields that a write cannot set and so does not come to own.
func notOwned(k kinds.Kind, sub string) map[fieldpath.APIVersion]fieldpath.Filter {
	if !k.Info().Status {
		return nil
	}
	set := fieldpath.NewSet()
	switch sub {
	case "":
		set.Insert(fieldpath.MakePathOrDie("status"))
	case api.SubStatus:
		set.Insert(fieldpath.MakePathOrDie("spec"))
		set.Insert(fieldpath.MakePathOrDie("metadata", "labels"))
		set.Insert(fieldpath.MakePathOrDie("metadata", "annotations"))
		set.Insert(fieldpath.MakePathOrDie("metadata", "ownerReferences"))
	default:
		return nil
	}
	return map[fieldpath.APIVersion]fieldpath.Filter{
		fieldpath.APIVersion(k.Info().GVK.GroupVersion().String()): fieldpath.NewExcludeSetFilter(set)}
}

// created notes the owner of a new object's fields. It fills in defaults, which
// belong to the creator.
func (w *owners) created(o kinds.Object, manager string) {
	k := kinds.Of(o)
	kinds.Default(o)
	w.track(k.Info().New(), o, k, "", manager)
}

// updated notes the owner of the fields in which o differs from the live object.
func (w *owners) updated(live, o kinds.Object, sub, manager string) {
	kinds.Default(o)
	w.track(live, o, kinds.Of(o), sub, manager)
}

func (w *owners) track(live, o kinds.Object, k kinds.Kind, sub, manager string) {
	if manager == "" {
		manager = "unknown"
	}
	gvk := k.Info().GVK
	live = kinds.WithType(live)
	o.GetObjectKind().SetGroupVersionKind(gvk)
	w.of(k, sub).UpdateNoErrors(live, o, manager)
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
}

// stamp puts the cluster's time in the place of the machine's on the entries that
// a write has touched; was is the object before, nil for a new one.
func (w *owners) stamp(o, was metav1.Object, now time.Time) {
	list := o.GetManagedFields()
	var old []metav1.ManagedFieldsEntry
	if was != nil {
		old = was.GetManagedFields()
	}
	at := metav1.Time{Time: now.UTC().Truncate(time.Second)}
	for i := range list {
		if !hasEntry(old, &list[i]) {
			list[i].Time = &at
		}
	}
}

func hasEntry(list []metav1.ManagedFieldsEntry, e *metav1.ManagedFieldsEntry) bool {
	for i := range list {
		x := &list[i]
		if x.Manager == e.Manager && x.Operation == e.Operation && x.Subresource == e.Subresource && x.APIVersion == e.APIVersion && x.Time.Equal(e.Time) {
			return true
		}
	}
	return false
}

// sameVersion converts between versions of objects, of which there is but one.
type sameVersion struct{}

func (sameVersion) Convert(in, _, _ any) error { return fmt.Errorf("no conversion of %T", in) }

func (sameVersion) ConvertToVersion(in runtime.Object, _ runtime.GroupVersioner) (runtime.Object, error) {
	return in, nil
}

func (sameVersion) ConvertFieldLabel(_ schema.GroupVersionKind, label, value string) (string, string, error) {
	return label, value, nil
}

// defaulter leaves objects as they are: defaults come after the merge.
type defaulter struct{}

func (defaulter) Default(runtime.Object) {}

// creater makes the objects that the field managers ask for.
type creater struct{}

func (creater) New(gvk schema.GroupVersionKind) (runtime.Object, error) {
	if k, ok := kinds.ByGVK(gvk); ok {
		o := k.Info().New()
		o.GetObjectKind().SetGroupVersionKind(gvk)
		return o, nil
	}
	return apiScheme.New(gvk)
}
