package ctrltest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/ctrl"
)

// Print prints a plan against the view.
func (w *World) Print(p *ctrl.Plan) string { return w.printPlan(p, false) }

// printPlan prints a plan in lines: a write, what it changes, the notes bound to
// it; then the other notes and when to look again.
func (w *World) printPlan(p *ctrl.Plan, verbose bool) string {
	var b strings.Builder
	for i := 0; i < len(p.Writes); {
		text := w.printWrite(p, i, verbose)
		n := 1
		for i+n < len(p.Writes) && w.printWrite(p, i+n, verbose) == text {
			n++
		}
		if n > 1 {
			head, rest, _ := strings.Cut(text, "\n")
			text = fmt.Sprintf("%s (%d times)\n%s", head, n, rest)
		}
		b.WriteString(text)
		i += n
	}
	for _, n := range p.Notes {
		b.WriteString(printNote(n) + "\n")
	}
	if p.Again > 0 {
		fmt.Fprintf(&b, "again in %s\n", p.Again)
	}
	if p.Failed != nil {
		fmt.Fprintf(&b, "failed: %s\n", p.Failed)
	}
	if b.Len() == 0 {
		return "nothing to do"
	}
	return b.String()
}

func (w *World) printWrite(p *ctrl.Plan, i int, verbose bool) string {
	r := p.Writes[i]
	var b strings.Builder
	b.WriteString(r.String())
	if r.Verb == api.VerbDelete && r.Grace != api.GraceDefault {
		fmt.Fprintf(&b, " grace=%d", r.Grace)
	}
	if r.Propagation != "" {
		fmt.Fprintf(&b, " propagation=%s", r.Propagation)
	}
	if old := w.View.Object(r.Ref); r.Verb == api.VerbDelete && (r.UID == "" || (old != nil && old.GetUID() != r.UID)) {
		fmt.Fprintf(&b, " uid=%q", r.UID)
	}
	b.WriteString("\n")
	if r.Patch != nil {
		fmt.Fprintf(&b, "  %s\n", r.Patch)
	}
	if r.Object != nil {
		for _, line := range w.changes(r, verbose) {
			b.WriteString("  " + line + "\n")
		}
	}
	for _, n := range p.NotesOf(i, nil) {
		b.WriteString("  " + printNote(n) + "\n")
	}
	return b.String()
}

func printNote(n api.Note) string {
	return fmt.Sprintf("event %s %s %s: %s", kinds.RefOf(n.About), n.Type, n.Reason, n.Message)
}

// changes says what a body changes against the object in the view.
func (w *World) changes(r api.Request, verbose bool) []string {
	old := w.View.Object(r.Ref)
	if r.Verb == api.VerbCreate || old == nil {
		var out []string
		for _, f := range flatten(r.Object) {
			if strings.HasPrefix(f.path, "metadata.n") || (strings.HasPrefix(f.path, "metadata.ownerReferences") && !strings.HasSuffix(f.path, ".name")) {
				continue // what every object has
			}
			if verbose || strings.HasPrefix(f.path, "metadata.labels") || f.path == "spec.replicas" {
				out = append(out, f.path+": "+f.value)
			}
		}
		return out
	}
	was, is := map[string]string{}, map[string]string{}
	for _, f := range flatten(old) {
		was[f.path] = f.value
	}
	var out []string
	for _, f := range flatten(r.Object) {
		is[f.path] = f.value
		switch v, had := was[f.path]; {
		case f.path == "metadata.resourceVersion":
		case !had:
			out = append(out, f.path+": "+f.value)
		case v != f.value:
			out = append(out, f.path+": "+v+" -> "+f.value)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(was)) {
		if _, has := is[path]; !has && path != "metadata.resourceVersion" {
			out = append(out, path+": "+was[path]+" -> none")
		}
	}
	slices.Sort(out)
	return out
}

type field struct{ path, value string }

// flatten lists an object's fields by path, in their order. List items that have
// a type, name, ip or uid are called by it.
func flatten(o any) []field {
	body, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		panic(err)
	}
	var out []field
	walk("", tree, &out)
	return out
}

func walk(path string, v any, out *[]field) {
	switch v := v.(type) {
	case map[string]any:
		if strings.HasSuffix(path, "targetRef") {
			*out = append(*out, field{path, fmt.Sprintf("%v %v/%v", v["kind"], v["namespace"], v["name"])})
			return
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			p := path + "." + k
			if path == "" {
				p = k
			}
			walk(p, v[k], out)
		}
	case []any:
		for i, x := range v {
			if m, ok := x.(map[string]any); ok && strings.HasSuffix(path, "conditions") {
				*out = append(*out, field{fmt.Sprintf("%s[%s]", path, label(i, x)), printCondition(m)})
				continue
			}
			walk(fmt.Sprintf("%s[%s]", path, label(i, x)), x, out)
		}
	default:
		*out = append(*out, field{path, relative(fmt.Sprint(v))})
	}
}

// printCondition prints a condition on one line: status, reason, message, and
// whatever times it has, the transition first.
func printCondition(m map[string]any) string {
	out := fmt.Sprint(m["status"])
	for _, k := range []string{"reason", "message"} {
		if s, ok := m[k].(string); ok {
			out += ", " + s
		}
	}
	for _, k := range []string{"lastTransitionTime", "lastUpdateTime", "lastHeartbeatTime"} {
		if s, ok := m[k].(string); ok {
			out += " " + relative(s)
		}
	}
	return out
}

func label(i int, v any) string {
	if m, ok := v.(map[string]any); ok {
		for _, k := range []string{"type", "name", "ip", "key"} {
			if s, ok := m[k].(string); ok {
				return s
			}
		}
	}
	return fmt.Sprint(i)
}

// relative prints a time as the duration since the start.
func relative(s string) string {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return "@" + t.Sub(Start).String()
	}
	return s
}

var offset = regexp.MustCompile(`"@(-?[0-9a-z.]+)"`)

// absolute turns "@10s" in JSON into the time that it means.
func absolute(body []byte) []byte {
	return offset.ReplaceAllFunc(body, func(m []byte) []byte {
		d, err := time.ParseDuration(string(m[2 : len(m)-1]))
		if err != nil {
			return m
		}
		return []byte(`"` + Start.Add(d).Format(time.RFC3339) + `"`)
	})
}
