package kinds

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
)

// Document is one object of a manifest, with its place in the file.
type Document struct {
	Object   Object // at the storage version of its kind, apiVersion and kind cleared
	Ref      Ref    // as written: the namespace may be empty
	File     string
	Line     int      // line on which the object begins
	Warnings []string // of old API versions, in Kubernetes' words

	node *yaml.Node
}

// LineOf returns the line of a field ("spec.containers[0].image"), or of the
// deepest part of its path that the file has.
func (d *Document) LineOf(fieldPath string) int { return FindLine(d.node, fieldPath) }

// Decode reads a manifest as kubectl does: YAML or JSON, several documents a
// file, empty ones skipped, lists taken apart, old API versions converted (with
// a warning). It is strict: an unknown, repeated or ill-typed field is an error.
// The error is one *InputError or several joined (errors.Join) in line order,
// and then there are no documents.
//
// Objects come without defaults; see Default.
func Decode(file string, data []byte) ([]Document, error) {
	roots, bad := parse(file, data)
	if bad != nil {
		return nil, bad
	}
	d := decoder{strict: newStrict(file, 4*(len(data)+maxExtra))} // each value is looked at a few times
	for _, root := range roots {
		d.object(root, "", schema.GroupVersionKind{}, 0)
	}
	return d.result()
}

// DecodeNode reads an object (or a list of objects) that stands inside another
// YAML file. Lines are those of that file; field paths begin at the object.
func DecodeNode(file string, node *yaml.Node) ([]Document, error) {
	if node != nil && node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	d := decoder{strict: newStrict(file, 4*maxExtra)}
	if node != nil {
		d.object(node, "", schema.GroupVersionKind{}, 0)
	}
	return d.result()
}

// WithType returns a copy of an object for output: a shallow one, with the
// apiVersion and kind of its storage version set.
func WithType(o Object) Object {
	v := reflect.New(reflect.TypeOf(o).Elem())
	v.Elem().Set(reflect.ValueOf(o).Elem())
	c := v.Interface().(Object)
	c.GetObjectKind().SetGroupVersionKind(Of(o).Info().GVK)
	return c
}

// maxLists is how deep lists may stand in lists.
const maxLists = 8

type decoder struct {
	strict
	docs []Document
}

func (d *decoder) result() ([]Document, error) {
	if err := JoinInputErrors(d.errs); err != nil {
		return nil, err
	}
	return d.docs, nil
}

// object reads one object or list; implied is the type that the items of a
// typed list may leave out.
func (d *decoder) object(at *yaml.Node, path string, implied schema.GroupVersionKind, depth int) {
	n := resolve(at)
	if d.stopped || len(d.errs) >= maxErrors {
		return
	}
	if d.left--; n == nil || depth > maxLists || d.left < 0 {
		d.stop(at, path)
		return
	}
	if n.Kind == yaml.ScalarNode && scalarTag(n) == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "must be an object with apiVersion and kind, got "+describe(n))
		return
	}
	before := len(d.errs)
	apiVersion := d.typeField(n, path, "apiVersion", implied.GroupVersion().String())
	kind := d.typeField(n, path, "kind", implied.Kind)
	if len(d.errs) > before {
		return
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		d.typeError(n, path, "apiVersion", apiVersion, fmt.Sprintf("%q is not a group and version", apiVersion))
		return
	}
	gvk := gv.WithKind(kind)
	if item, ok := listOf(gvk); ok {
		d.list(n, path, item, depth)
		return
	}
	if k, ok := ByGVK(gvk); ok {
		if o := k.Info().New(); d.into(n, path, o) {
			d.add(n, o, nil)
		}
		return
	}
	if old, ok := oldVersions[gvk]; ok {
		d.old(n, path, gvk, old)
		return
	}
	field, problem := unknownType(gvk)
	d.typeError(n, path, field, map[string]string{"apiVersion": apiVersion, "kind": kind}[field], problem)
}

func (d *decoder) typeField(n *yaml.Node, path, name, implied string) string {
	key, value := lookup(n, name)
	if value = resolve(value); key == nil || value == nil || scalarTag(value) == "!!null" {
		if implied == "" {
			d.fail(n, join(path, name), "is required")
		}
		return implied
	}
	if value.Kind != yaml.ScalarNode || scalarTag(value) != "!!str" || value.Value == "" {
		d.fail(value, join(path, name), "must be a string, got "+describe(value))
	}
	return value.Value
}

func (d *decoder) typeError(n *yaml.Node, path, field, value, problem string) {
	d.errs = append(d.errs, &InputError{File: d.file, Line: FindLine(n, field), Field: join(path, field), Value: value, Problem: problem})
}

// listOf says whether a type is a list, and of which type its items are where
// they may leave it out.
func listOf(gvk schema.GroupVersionKind) (item schema.GroupVersionKind, ok bool) {
	if gvk.Group == "" && gvk.Version == "v1" && gvk.Kind == "List" {
		return schema.GroupVersionKind{}, true
	}
	name, isList := strings.CutSuffix(gvk.Kind, "List")
	item = gvk.GroupVersion().WithKind(name)
	_, current := byGVK[item]
	_, old := oldVersions[item]
	return item, isList && (current || old)
}

// listFields are the fields that every list has beside its type.
type listFields struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Items      []any          `json:"items"`
}

func (d *decoder) list(n *yaml.Node, path string, item schema.GroupVersionKind, depth int) {
	before := len(d.errs)
	d.check(n, reflect.TypeFor[listFields](), path, 0)
	if len(d.errs) > before {
		return
	}
	_, items := lookup(n, "items")
	if items = resolve(items); items == nil {
		return
	}
	for i, child := range items.Content {
		d.object(child, fmt.Sprintf("%s[%d]", join(path, "items"), i), item, depth+1)
	}
}

// into reads a node into a value of its Go type, and clears apiVersion and kind.
func (d *decoder) into(n *yaml.Node, path string, o runtime.Object) bool {
	before := len(d.errs)
	d.check(n, reflect.TypeOf(o), path, 0)
	if len(d.errs) > before {
		return false
	}
	w := jsonWriter{left: max(0, d.left)}
	err := w.write(n, 0)
	if err == nil {
		err = json.UnmarshalCaseSensitivePreserveInts(w.buf, o)
	}
	if err != nil {
		d.fail(n, path, err.Error())
		return false
	}
	o.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return true
}

func (d *decoder) old(n *yaml.Node, path string, gvk schema.GroupVersionKind, old oldVersion) {
	from := old.empty()
	if !d.into(n, path, from) {
		return
	}
	o, err := old.convert(from)
	if err != nil {
		d.fail(n, path, fmt.Sprintf("cannot be converted from %s: %v", gvk.GroupVersion(), err))
		return
	}
	var warnings []string
	if w := deprecation(gvk, from, old.to); w != "" {
		warnings = []string{w}
	}
	d.add(n, o, warnings)
}

func (d *decoder) add(n *yaml.Node, o Object, warnings []string) {
	d.docs = append(d.docs, Document{Object: o, Ref: RefOf(o), File: d.file, Line: n.Line, Warnings: warnings, node: n})
}

// unknownType says which of apiVersion and kind is wrong, and what would be right.
func unknownType(gvk schema.GroupVersionKind) (field, problem string) {
	gv := gvk.GroupVersion()
	var kindsHere, versions, homes []string
	for _, known := range knownTypes() {
		if known.GroupVersion() == gv {
			kindsHere = append(kindsHere, known.Kind)
		}
		if known.Group == gv.Group {
			versions = append(versions, known.GroupVersion().String())
		}
		if known.Kind == gvk.Kind {
			homes = append(homes, known.GroupVersion().String())
		}
	}
	slices.Sort(versions)
	versions = slices.Compact(versions)
	switch near := Nearest(gvk.Kind, kindsHere); {
	case len(kindsHere) == 0 && len(homes) > 0:
		problem = fmt.Sprintf("unknown version %q for kind %s: use %s", gv, gvk.Kind, homes[0])
		if len(versions) > 0 {
			problem += fmt.Sprintf(" (known versions of the group are %s)", strings.Join(versions, ", "))
		}
		return "apiVersion", problem
	case len(kindsHere) == 0 && len(versions) > 0:
		return "apiVersion", fmt.Sprintf("unknown version %q: known versions are %s", gv, strings.Join(versions, ", "))
	case len(kindsHere) == 0:
		return "apiVersion", fmt.Sprintf("unknown group and version %q%s", gv, didYouMean(gv.String(), groupVersions()))
	case near != "":
		return "kind", fmt.Sprintf("kind %s in %s: did you mean %s?", gvk.Kind, gv, near)
	case len(homes) > 0:
		return "apiVersion", fmt.Sprintf("kind %s is not in %s: use %s", gvk.Kind, gv, homes[0])
	}
	return "kind", fmt.Sprintf("unknown kind %s in %s: known kinds are %s", gvk.Kind, gv, strings.Join(kindsHere, ", "))
}

func didYouMean(word string, candidates []string) string {
	if near := Nearest(word, candidates); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// knownTypes lists what Decode accepts: the table in its order, then the old
// versions in theirs.
func knownTypes() []schema.GroupVersionKind {
	list := make([]schema.GroupVersionKind, 0, Count+len(oldVersions))
	for _, i := range All() {
		list = append(list, i.GVK)
	}
	return append(list, OldVersions()...)
}

func groupVersions() []string {
	var list []string
	for _, gvk := range knownTypes() {
		if gv := gvk.GroupVersion().String(); !slices.Contains(list, gv) {
			list = append(list, gv)
		}
	}
	return list
}
