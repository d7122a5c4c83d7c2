package kinds

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits of a file; what lies beyond is refused, not truncated.
const (
	maxDepth  = 100     // nesting of maps and lists, aliases followed
	maxExtra  = 1 << 20 // values that aliases may add to those written: an alias bomb ends here
	maxMerges = 1000    // maps that the merge keys of one map may bring in
	maxErrors = 100     // mistakes told of one file
)

// parse reads the documents of a file as node trees whose lines are the file's.
func parse(file string, data []byte) ([]*yaml.Node, *InputError) {
	if first := bytes.TrimLeft(data, " \t\r\n"); len(first) > 0 && first[0] == '{' {
		// What reads as JSON is read as JSON: tabs and surrogate pairs in it
		// are not YAML. Anything else that begins with a brace is YAML.
		if docs, err := parseJSON(data); err == nil {
			return docs, nil
		}
	}
	var docs []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, syntaxError(file, err)
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
	}
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

func syntaxError(file string, err error) *InputError {
	e := &InputError{File: file, Line: 1, Problem: err.Error()} // the parser names no line on the first
	if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
		if line, err := strconv.Atoi(m[1]); err == nil {
			e.Line = line
		}
		e.Problem = "not valid YAML: " + m[2]
	}
	return e
}

// jsonReader builds node trees from JSON, which yaml.v3 reads only in part.
type jsonReader struct {
	dec  *json.Decoder
	data []byte
	at   int // bytes of data whose lines are counted
	line int
}

func parseJSON(data []byte) ([]*yaml.Node, error) {
	r := &jsonReader{dec: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1}
	r.dec.UseNumber()
	var docs []*yaml.Node
	for {
		t, err := r.dec.Token()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		n, err := r.value(t, 0)
		if err != nil {
			return nil, err
		}
		docs = append(docs, n)
	}
}

// node makes a node on the line on which the last token ended.
func (r *jsonReader) node(kind yaml.Kind, tag, value string) *yaml.Node {
	end := int(r.dec.InputOffset())
	r.line += bytes.Count(r.data[r.at:end], []byte{'\n'})
	r.at = end
	n := &yaml.Node{Kind: kind, Tag: tag, Value: value, Line: r.line}
	if tag == "!!str" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}

func (r *jsonReader) value(t json.Token, depth int) (*yaml.Node, error) {
	if depth > maxDepth {
		return nil, errors.New("too deep")
	}
	switch t := t.(type) {
	case json.Delim:
		n := r.node(yaml.MappingNode, "!!map", "")
		if t == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		for r.dec.More() {
			next, err := r.dec.Token()
			if err != nil {
				return nil, err
			}
			child, err := r.value(next, depth+1)
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err := r.dec.Token() // the closing bracket
		return n, err
	case string:
		return r.node(yaml.ScalarNode, "!!str", t), nil
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return r.node(yaml.ScalarNode, "!!float", t.String()), nil
		}
		return r.node(yaml.ScalarNode, "!!int", t.String()), nil
	case bool:
		return r.node(yaml.ScalarNode, "!!bool", strconv.FormatBool(t)), nil
	default:
		return r.node(yaml.ScalarNode, "!!null", "null"), nil
	}
}

// resolve follows aliases; nil for one that leads nowhere.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode; i++ {
		if i > maxDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}

// scalarTag is the type of a plain value. Kubernetes reads YAML 1.1, in which a
// bare yes, no, on and off are booleans and a date is a string.
func scalarTag(n *yaml.Node) string {
	tag := n.ShortTag()
	switch tag {
	case "!!timestamp", "!!binary":
		return "!!str"
	case "!!str":
		if n.Style == 0 {
			if _, ok := oldBool(n.Value); ok {
				return "!!bool"
			}
		}
	}
	return tag
}

// oldBool reads the booleans that YAML 1.1 has beside true and false.
func oldBool(s string) (value, ok bool) {
	switch s {
	case "y", "Y", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "n", "N", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// scalarValue is a plain value as Go has it: string, bool, int64, uint64,
// float64 or nil.
func scalarValue(n *yaml.Node) (any, error) {
	switch scalarTag(n) {
	case "!!null":
		return nil, nil
	case "!!bool":
		if v, ok := oldBool(n.Value); ok {
			return v, nil
		}
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, errors.New("is not a number")
		}
		switch v := v.(type) {
		case int:
			return int64(v), nil
		case float64:
			if math.IsInf(v, 0) || math.IsNaN(v) {
				return nil, errors.New("is not a finite number")
			}
		}
		return v, nil
	case "!!str":
		return n.Value, nil
	}
	return nil, fmt.Errorf("has the tag %s, which a manifest cannot hold", n.Tag)
}

// keyName is a mapping's key as JSON has it: always a string.
func keyName(n *yaml.Node) (string, error) {
	n = resolve(n)
	if n == nil || n.Kind != yaml.ScalarNode {
		return "", errors.New("a map's key must be a plain value")
	}
	v, err := scalarValue(n)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case nil:
		return "null", nil
	}
	return fmt.Sprint(v), nil
}

// entry is one field of a mapping.
type entry struct {
	name       string
	key, value *yaml.Node
	merged     bool // from a merge key (<<), so others may override it
}

// entries lists a mapping's fields as written, those of merge keys after them.
func entries(n *yaml.Node) ([]entry, error) {
	merges := maxMerges
	return mergedEntries(n, 0, &merges)
}

func mergedEntries(n *yaml.Node, depth int, merges *int) ([]entry, error) {
	if *merges--; depth > maxDepth || *merges < 0 {
		return nil, errors.New("merges too many maps")
	}
	list := make([]entry, 0, len(n.Content)/2)
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merged = append(merged, mergeSources(value)...)
			continue
		}
		name, err := keyName(key)
		if err != nil {
			return nil, err
		}
		list = append(list, entry{name: name, key: key, value: value})
	}
	if len(merged) == 0 {
		return list, nil
	}
	have := make(map[string]bool, len(list))
	for _, e := range list {
		have[e.name] = true
	}
	for _, m := range merged {
		if m = resolve(m); m == nil || m.Kind != yaml.MappingNode {
			return nil, errors.New("a merge key (<<) must name a map")
		}
		more, err := mergedEntries(m, depth+1, merges)
		if err != nil {
			return nil, err
		}
		for _, e := range more {
			if !have[e.name] {
				have[e.name], e.merged = true, true
				list = append(list, e)
			}
		}
	}
	return list, nil
}

func mergeSources(n *yaml.Node) []*yaml.Node {
	if r := resolve(n); r != nil && r.Kind == yaml.SequenceNode {
		return r.Content
	}
	return []*yaml.Node{n}
}

// lookup finds a field of a mapping by name; nils where there is none.
func lookup(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n = resolve(n); n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	list, err := entries(n)
	if err != nil {
		return nil, nil
	}
	for _, e := range list {
		if e.name == name {
			return e.key, e.value
		}
	}
	return nil, nil
}

var errTooLarge = errors.New("is nested too deep, or too large once its aliases are followed")

// jsonWriter writes a node tree as JSON, counting what it has written.
type jsonWriter struct {
	buf  []byte
	left int // values that may still be written
}

func (w *jsonWriter) write(n *yaml.Node, depth int) error {
	n = resolve(n)
	if w.left--; n == nil || w.left < 0 || depth > maxDepth {
		return errTooLarge
	}
	switch n.Kind {
	case yaml.MappingNode:
		return w.mapping(n, depth)
	case yaml.SequenceNode:
		w.buf = append(w.buf, '[')
		for i, item := range n.Content {
			if i > 0 {
				w.buf = append(w.buf, ',')
			}
			if err := w.write(item, depth+1); err != nil {
				return err
			}
		}
		w.buf = append(w.buf, ']')
		return nil
	case yaml.ScalarNode:
		v, err := scalarValue(n)
		if err != nil {
			return err
		}
		return w.plain(v)
	}
	w.buf = append(w.buf, "null"...)
	return nil
}

func (w *jsonWriter) mapping(n *yaml.Node, depth int) error {
	list, err := entries(n)
	if err != nil {
		return err
	}
	w.buf = append(w.buf, '{')
	for i, e := range list {
		if i > 0 {
			w.buf = append(w.buf, ',')
		}
		if err := w.plain(e.name); err != nil {
			return err
		}
		w.buf = append(w.buf, ':')
		if err := w.write(e.value, depth+1); err != nil {
			return err
		}
	}
	w.buf = append(w.buf, '}')
	return nil
}

func (w *jsonWriter) plain(v any) error {
	text, err := json.Marshal(v)
	w.buf = append(w.buf, text...)
	return err
}

// FindLine returns the line of a field in a YAML tree: the path is written as
// "spec.containers[0].image" or "metadata.labels[app.kubernetes.io/name]".
// Where the file does not have the whole path (a default, a missing field) it
// is the line of the deepest part found; 0 for a nil tree.
func FindLine(root *yaml.Node, path string) int {
	n := resolve(root)
	if n == nil {
		return 0
	}
	if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
		n = resolve(n.Content[0])
	}
	line := n.Line
	for path != "" && n != nil {
		var step string
		step, path = cutStep(path)
		switch n.Kind {
		case yaml.MappingNode:
			key, value := lookup(n, step)
			if key == nil {
				return line
			}
			line, n = key.Line, resolve(value)
		case yaml.SequenceNode:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(n.Content) {
				return line
			}
			line, n = n.Content[i].Line, resolve(n.Content[i])
		default:
			return line
		}
	}
	return line
}

// cutStep takes the first name, or what stands in the first brackets, off a path.
func cutStep(path string) (step, rest string) {
	path = strings.TrimPrefix(path, ".")
	if strings.HasPrefix(path, "[") {
		if end := strings.IndexByte(path, ']'); end > 0 {
			return strings.Trim(path[1:end], `"'`), path[end+1:]
		}
		return path[1:], ""
	}
	if end := strings.IndexAny(path, ".["); end >= 0 {
		return path[:end], path[end:]
	}
	return path, ""
}
