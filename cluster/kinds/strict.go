package kinds

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// strict compares a node tree with the Go type it is to be read into, and
// notes every unknown, repeated or ill-typed field with its line. It comes
// before the JSON decoder, which would stop at the first mistake, know no
// lines, and in types with a decoder of their own not even the field.
type strict struct {
	file    string
	errs    []*InputError
	stopped bool
	left    int                                      // values that may still be looked at
	fields  map[reflect.Type]map[string]reflect.Type // by struct type and JSON name
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (s *strict) fail(n *yaml.Node, path, problem string) {
	e := &InputError{File: s.file, Line: n.Line, Field: path, Problem: problem}
	if n.Kind == yaml.ScalarNode {
		e.Value = n.Value
	}
	s.errs = append(s.errs, e)
}

// stop ends the reading of a file that is too large; the rest of it would only
// repeat the mistake.
func (s *strict) stop(at *yaml.Node, path string) {
	s.fail(at, path, errTooLarge.Error())
	s.stopped = true
}

func newStrict(file string, limit int) strict {
	return strict{file: file, left: limit, fields: map[reflect.Type]map[string]reflect.Type{}}
}

func (s *strict) check(at *yaml.Node, t reflect.Type, path string, depth int) {
	n := resolve(at)
	if s.stopped || len(s.errs) >= maxErrors {
		return
	}
	if s.left--; n == nil || s.left < 0 || depth > maxDepth {
		s.stop(at, path)
		return
	}
	if n.Kind == yaml.ScalarNode && scalarTag(n) == "!!null" {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		s.custom(n, t, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		s.object(n, t, path, depth)
	case reflect.Map:
		for _, e := range s.mapping(n, path, "a map") {
			s.check(e.value, t.Elem(), path+"["+e.name+"]", depth+1)
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			s.bytes(n, t, path)
			return
		}
		if n.Kind != yaml.SequenceNode {
			s.fail(n, path, "must be a list, got "+describe(n))
			return
		}
		for i, item := range n.Content {
			s.check(item, t.Elem(), path+"["+strconv.Itoa(i)+"]", depth+1)
		}
	case reflect.Interface:
	default:
		s.scalar(n, t, path)
	}
}

// mapping lists the fields of a mapping, after noting those that come twice.
func (s *strict) mapping(n *yaml.Node, path, want string) []entry {
	if n.Kind != yaml.MappingNode {
		s.fail(n, path, "must be "+want+", got "+describe(n))
		return nil
	}
	list, err := entries(n)
	if err != nil {
		s.fail(n, path, err.Error())
		return nil
	}
	s.left -= len(list)
	first := make(map[string]int, len(list))
	for _, e := range list {
		if line, twice := first[e.name]; twice {
			s.errs = append(s.errs, &InputError{File: s.file, Line: e.key.Line, Field: join(path, e.name), Value: e.name,
				Problem: fmt.Sprintf("the field is given twice (first on line %d)", line)})
			continue
		}
		first[e.name] = e.key.Line
	}
	return list
}

func (s *strict) object(n *yaml.Node, t reflect.Type, path string, depth int) {
	list := s.mapping(n, path, "a map of fields")
	fields := s.fieldsOf(t)
	for _, e := range list {
		ft, ok := fields[e.name]
		if !ok {
			problem := "unknown field"
			if near := Nearest(e.name, fieldNames(t)); near != "" {
				problem += ", did you mean " + near + "?"
			}
			s.errs = append(s.errs, &InputError{File: s.file, Line: e.key.Line, Field: join(path, e.name), Value: e.name, Problem: problem})
			continue
		}
		s.check(e.value, ft, join(path, e.name), depth+1)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (s *strict) fieldsOf(t reflect.Type) map[string]reflect.Type {
	if m, ok := s.fields[t]; ok {
		return m
	}
	m := map[string]reflect.Type{}
	eachField(t, func(name string, ft reflect.Type) { m[name] = ft })
	s.fields[t] = m
	return m
}

func fieldNames(t reflect.Type) []string {
	var names []string
	eachField(t, func(name string, _ reflect.Type) { names = append(names, name) })
	return names
}

// eachField calls f for every field of a struct's JSON form, in order; embedded
// structs without a name of their own count as if written in place.
func eachField(t reflect.Type, f func(name string, ft reflect.Type)) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("json"), ",")
		switch {
		case name == "" && sf.Anonymous: // the fields of an unexported type count too
			eachField(sf.Type, f)
		case name == "-" || !sf.IsExported():
		case name == "":
			f(sf.Name, sf.Type)
		default:
			f(name, sf.Type)
		}
	}
}

// custom tries a type that has its own JSON decoder (quantities, times, ports
// that may be numbers or names) on the value by itself.
func (s *strict) custom(n *yaml.Node, t reflect.Type, path string) {
	w := jsonWriter{left: s.left}
	if err := w.write(n, 0); err != nil {
		s.fail(n, path, err.Error())
		return
	}
	if err := json.Unmarshal(w.buf, reflect.New(t).Interface()); err != nil {
		s.fail(n, path, fmt.Sprintf("is not a valid %s: %s (%s)", typeWords(t), describe(n), strings.TrimPrefix(err.Error(), "json: ")))
	}
}

func typeWords(t reflect.Type) string {
	switch t.Name() {
	case "Time", "MicroTime":
		return "time"
	case "IntOrString":
		return "number or string"
	}
	return strings.ToLower(t.Name())
}

func (s *strict) bytes(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind != yaml.ScalarNode || scalarTag(n) != "!!str" {
		s.fail(n, path, "must be a string in base64, got "+describe(n))
		return
	}
	if n.ShortTag() == "!!binary" {
		return
	}
	text, _ := json.Marshal(n.Value)
	if err := json.Unmarshal(text, reflect.New(t).Interface()); err != nil {
		s.fail(n, path, "is not valid base64: "+err.Error())
	}
}

func (s *strict) scalar(n *yaml.Node, t reflect.Type, path string) {
	want := ""
	switch t.Kind() {
	case reflect.String:
		want = "a string"
	case reflect.Bool:
		want = "true or false"
	case reflect.Float32, reflect.Float64:
		want = "a number"
	default:
		want = "a whole number"
	}
	if n.Kind != yaml.ScalarNode {
		s.fail(n, path, "must be "+want+", got "+describe(n))
		return
	}
	v, err := scalarValue(n)
	if err != nil {
		s.fail(n, path, err.Error())
		return
	}
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return
	}
	problem := "must be " + want + ", got " + describe(n)
	_, isInt := v.(int64)
	switch {
	case t.Kind() == reflect.String:
		problem += fmt.Sprintf(" (quote it: %q)", n.Value)
	case isInt && want == "a whole number":
		problem = fmt.Sprintf("%s does not fit %s", n.Value, t.Kind())
	}
	s.fail(n, path, problem)
}

// describe says what stands in the file, for a message.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		switch scalarTag(n) {
		case "!!bool":
			return "the boolean " + n.Value
		case "!!int", "!!float":
			return "the number " + n.Value
		case "!!null":
			return "nothing"
		}
		return fmt.Sprintf("the string %q", n.Value)
	}
	return "nothing"
}
