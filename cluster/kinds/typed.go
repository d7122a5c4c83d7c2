package kinds

import (
	"encoding/json"
	"reflect"

	"go.yaml.in/yaml/v3"
)

// ParseYAML reads the documents of a YAML or JSON file as node trees whose lines
// are the file's. The error is an *InputError.
func ParseYAML(file string, data []byte) ([]*yaml.Node, error) {
	roots, bad := parse(file, data)
	if bad != nil {
		return nil, bad
	}
	return roots, nil
}

// DecodeStrict reads a node tree into a Go value by its json tags, with the same
// strictness and messages as a manifest: for files of our own that stand beside
// Kubernetes' kinds. A field of interface type takes anything; path is what the
// fields' names in errors begin with.
func DecodeStrict(file string, n *yaml.Node, path string, into any) error {
	s := newStrict(file, 4*maxExtra)
	s.check(n, reflect.TypeOf(into).Elem(), path, 0)
	if err := JoinInputErrors(s.errs); err != nil {
		return err
	}
	w := jsonWriter{left: 4 * maxExtra}
	if err := w.write(n, 0); err != nil {
		return &InputError{File: file, Line: n.Line, Field: path, Problem: err.Error()}
	}
	if err := json.Unmarshal(w.buf, into); err != nil {
		return &InputError{File: file, Line: n.Line, Field: path, Problem: err.Error()}
	}
	return nil
}

// FindNode returns the node of a field in a YAML tree, with aliases followed; nil
// where the file does not have it. Paths are those of FindLine.
func FindNode(root *yaml.Node, path string) *yaml.Node {
	n := resolve(root)
	for path != "" && n != nil {
		var step string
		step, path = cutStep(path)
		switch n.Kind {
		case yaml.MappingNode:
			_, value := lookup(n, step)
			n = resolve(value)
		case yaml.SequenceNode:
			i := 0
			for _, c := range step {
				i = i*10 + int(c-'0')
			}
			if i < 0 || i >= len(n.Content) {
				return nil
			}
			n = resolve(n.Content[i])
		default:
			return nil
		}
	}
	return n
}
