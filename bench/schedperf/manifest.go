package schedperf

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"seatrial.dev/seatrial/cluster/kinds"
)

// manifest is a file with one object, or with the template of one.
type manifest struct {
	path  string
	text  string
	kind  kinds.Kind         // where the object does not say it; 0 for one that must
	tmpl  *template.Template // nil for a plain object
	plain kinds.Object       // read once, copied for each use
}

// lackError is a template's object that Seatrial has no kind for.
type lackError struct{ what string }

func (e *lackError) Error() string { return e.what + " is not there" }

// load reads a manifest that a field of the file names. With expand, it is a
// template. Problems are noted and nil is returned. kind is what the object is where it
// does not say.
func (r *reader) load(field, path string, expand bool, kind kinds.Kind) *manifest {
	full := r.beside(path)
	key := fmt.Sprint(expand, kind, full)
	if m, ok := r.manifests[key]; ok {
		return m
	}
	r.manifests[key] = nil
	data, err := readFile(full)
	if err != nil {
		var in *kinds.InputError
		errors.As(err, &in)
		r.fail(field, path, "%s: %s; the path is relative to the folder of %s", full, in.Problem, r.file)
		return nil
	}
	m := &manifest{path: full, text: string(data), kind: kind}
	if expand && strings.Contains(m.text, "{{") {
		if m.tmpl, err = template.New(full).Funcs(functions()).Parse(m.text); err != nil {
			r.note(templateError(full, err))
			return nil
		}
	}
	r.manifests[key] = m
	return m
}

var templatePlace = regexp.MustCompile(`(?s)^template: .*?:(\d+)(?::\d+)?: (.*)$`)

// templateError finds the line in an error of text/template.
func templateError(path string, err error) *kinds.InputError {
	e := &kinds.InputError{File: path, Problem: "not a valid template: " + err.Error()}
	text := strings.Replace(err.Error(), path, "", 1)
	if m := templatePlace.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Problem = "not a valid template: " + strings.ReplaceAll(m[2], `"`+path+`" `, "")
	}
	return e
}

// object makes the object with the number index of count. It is the caller's own.
// The error is a *lackError, or of input.
func (m *manifest) object(params map[string]any, index, count int) (kinds.Object, error) {
	if m.plain != nil {
		return kinds.Clone(m.plain), nil
	}
	if m.tmpl == nil {
		o, err := m.decode([]byte(m.text))
		if err != nil {
			return nil, err
		}
		m.plain = o
		return kinds.Clone(o), nil
	}
	env := make(map[string]any, len(params)+2)
	maps.Copy(env, params)
	env["Index"], env["Count"] = index, count
	var b limited
	if err := m.tmpl.Execute(&b, env); err != nil {
		return nil, templateError(m.path, err)
	}
	return m.decode(b.text)
}

// limited is what a template has written, up to the size of a file.
type limited struct{ text []byte }

func (l *limited) Write(p []byte) (int, error) {
	if len(l.text)+len(p) > fileBytesMax {
		return 0, fmt.Errorf("it makes more than %d bytes, the most that is read", fileBytesMax)
	}
	l.text = append(l.text, p...)
	return len(p), nil
}

func (m *manifest) decode(text []byte) (kinds.Object, error) {
	path := m.path
	roots, err := kinds.ParseYAML(path, text)
	if err != nil {
		return nil, err
	}
	if len(roots) == 1 {
		m.implyType(roots[0])
		if what := lacks(roots[0]); what != "" {
			return nil, &lackError{fmt.Sprintf("%s:%d: %s", path, kinds.FindLine(roots[0], "kind"), what)}
		}
	}
	var docs []kinds.Document
	for _, root := range roots {
		d, err := kinds.DecodeNode(path, root)
		if err != nil {
			if k, ok := kindOf(root); ok {
				foldKeys(root, reflect.TypeOf(k.Info().New()), 0)
				d, err = kinds.DecodeNode(path, root)
			}
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, d...)
	}
	if len(docs) != 1 {
		return nil, &kinds.InputError{File: path, Problem: fmt.Sprintf("want one object, got %d", len(docs))}
	}
	if pod, ok := docs[0].Object.(*corev1.Pod); ok {
		if what, field := podLacks(pod); what != "" {
			return nil, &lackError{fmt.Sprintf("%s:%d: %s of a pod", path, docs[0].LineOf(field), what)}
		}
	}
	return docs[0].Object, nil
}

// implyType adds the apiVersion and kind that an operation leaves no choice of:
// upstream reads such files without them.
func (m *manifest) implyType(n *yaml.Node) {
	if m.kind == 0 || n.Kind != yaml.MappingNode {
		return
	}
	gvk := m.kind.Info().GVK
	for _, f := range [][2]string{{"apiVersion", gvk.GroupVersion().String()}, {"kind", gvk.Kind}} {
		if kinds.FindNode(n, f[0]) == nil {
			n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f[0], Line: n.Line},
				&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f[1], Line: n.Line})
		}
	}
}

// typeOf is the apiVersion and kind that an object bears.
func typeOf(n *yaml.Node) (schema.GroupVersionKind, bool) {
	version, kind := kinds.FindNode(n, "apiVersion"), kinds.FindNode(n, "kind")
	if version == nil || kind == nil {
		return schema.GroupVersionKind{}, false
	}
	gv, err := schema.ParseGroupVersion(version.Value)
	return gv.WithKind(kind.Value), err == nil
}

func kindOf(n *yaml.Node) (kinds.Kind, bool) {
	gvk, ok := typeOf(n)
	if !ok {
		return 0, false
	}
	return kinds.StorageKind(gvk)
}

// lacks tells the kind of an object that is Kubernetes' but not Seatrial's: dynamic
// resources, groups of pod groups. Any other unknown kind is a mistake of the file.
func lacks(n *yaml.Node) string {
	gvk, _ := typeOf(n)
	if _, ok := kindOf(n); ok {
		return ""
	}
	switch gvk.Group {
	case "resource.k8s.io", "scheduling.k8s.io":
		return fmt.Sprintf("kind %s of %s", gvk.Kind, gvk.GroupVersion())
	}
	return ""
}

// podLacks tells which feature of a pod there are no kinds for, and its field.
func podLacks(pod *corev1.Pod) (what, field string) {
	if len(pod.Spec.ResourceClaims) > 0 {
		return "the resourceClaims", "spec.resourceClaims"
	}
	return "", ""
}

// source loads a manifest and tries it with the first and the last number. kind is
// what it must be; 0 is any.
func (r *resolver) source(field, path string, kind kinds.Kind, expand bool, params map[string]any, count int) *manifest {
	m := r.load(r.at+"."+field, path, expand, kind)
	if m == nil {
		return nil
	}
	for _, i := range []int{0, max(0, count-1)} {
		o, err := m.object(params, i, count)
		var lack *lackError
		switch {
		case errors.As(err, &lack):
			r.lack("%s", lack.what)
			return m
		case err != nil:
			r.noteAll(err)
			return nil
		case kind != 0 && kinds.Of(o) != kind:
			r.wrong(field, path, "%s holds a %s; want a %s", m.path, kinds.Of(o), kind)
			return nil
		}
		if i == count-1 {
			break
		}
	}
	return m
}

// functions are those that upstream gives its templates. Numbers may be written as
// strings; what is none ends the template with an error.
func functions() template.FuncMap {
	fold := func(first float64, op func(a, b float64) float64) func(...any) (float64, error) {
		return func(list ...any) (float64, error) {
			sum := first
			for _, v := range list {
				f, err := number(v)
				if err != nil {
					return 0, err
				}
				sum = op(sum, f)
			}
			return sum, nil
		}
	}
	pair := func(op func(a, b float64) (float64, error)) func(a, b any) (float64, error) {
		return func(a, b any) (float64, error) {
			x, err := number(a)
			if err != nil {
				return 0, err
			}
			y, err := number(b)
			if err != nil {
				return 0, err
			}
			return op(x, y)
		}
	}
	whole := func(f func(...any) (float64, error)) func(...any) (int, error) {
		return func(list ...any) (int, error) { v, err := f(list...); return int(v), err }
	}
	whole2 := func(f func(a, b any) (float64, error)) func(a, b any) (int, error) {
		return func(a, b any) (int, error) { v, err := f(a, b); return int(v), err }
	}
	add := fold(0, func(a, b float64) float64 { return a + b })
	multiply := fold(1, func(a, b float64) float64 { return a * b })
	subtract := pair(func(a, b float64) (float64, error) { return a - b, nil })
	divide := pair(func(a, b float64) (float64, error) {
		if b == 0 {
			return 0, errors.New("division by zero")
		}
		return a / b, nil
	})
	mod := pair(func(a, b float64) (float64, error) {
		if int(b) == 0 {
			return 0, errors.New("division by zero")
		}
		return float64(int(a) % int(b)), nil
	})
	return template.FuncMap{
		"AddFloat": add, "AddInt": whole(add), "MultiplyFloat": multiply, "MultiplyInt": whole(multiply),
		"SubtractFloat": subtract, "SubtractInt": whole2(subtract), "DivideFloat": divide, "DivideInt": whole2(divide),
		"Mod": whole2(mod),
		"Int": func(v any) (int, error) { f, err := number(v); return int(f), err },
		"JSON": func(v any) (string, error) {
			var b strings.Builder
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			err := enc.Encode(v)
			return strings.TrimSpace(b.String()), err
		},
	}
}

func number(v any) (float64, error) {
	switch v := v.(type) {
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%v is not a number", v)
}
