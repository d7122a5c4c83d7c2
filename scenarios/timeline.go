package scenarios

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// verbs are the fields of a time line entry of which one must be given.
var verbs = []string{"apply", "delete", "patch", "scale", "setImage", "crash", "restart", "freeze", "thaw",
	"cut", "heal", "cordon", "uncordon", "drain", "request"}

func (r *reader) timeline() {
	for i, e := range r.in.Spec.Timeline {
		at := fmt.Sprintf("spec.timeline[%d]", i)
		a := r.entry(at, e)
		if a == nil {
			continue
		}
		if time.Duration(e.At) > r.scn.Duration {
			r.fail(at+".at", "is after the end of the run (spec.duration is %v)", r.scn.Duration)
		}
		times := 1
		if e.Every > 0 || e.Times > 0 {
			if times = int(e.Times); e.Every <= 0 || times < 1 {
				r.fail(at, "every and times go together: every: 30s, times: 4")
				continue
			}
		}
		if len(r.scn.Steps)+times > stepsMax {
			r.fail(at+".times", "the time line would have more than %d steps", stepsMax)
			return
		}
		for n := range times {
			when := time.Duration(e.At) + time.Duration(n)*time.Duration(e.Every)
			r.scn.Steps = append(r.scn.Steps, Step{At: when, Line: kinds.FindLine(r.root, at), Action: a})
		}
	}
	r.workloadPods()
	slices.SortStableFunc(r.scn.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
}

// entry reads the one verb of an entry.
func (r *reader) entry(at string, e fileEntry) Action {
	var given []string
	for _, v := range verbs {
		if kinds.FindNode(r.root, at+"."+v) != nil {
			given = append(given, v)
		}
	}
	if kinds.FindNode(r.root, at+".at") == nil {
		r.fail(at+".at", "is required: the time since the start, such as 2m")
	}
	switch len(given) {
	case 0:
		r.fail(at, "names nothing to do; want one of %s", strings.Join(verbs, ", "))
		return nil
	case 1:
	default:
		r.fail(at, "has %s: want one verb an entry", strings.Join(given, " and "))
		return nil
	}
	before := len(r.errs)
	a := r.action(at+"."+given[0], given[0], e)
	if len(r.errs) > before {
		return nil
	}
	return a
}

func (r *reader) action(at, verb string, e fileEntry) Action {
	switch verb {
	case "apply":
		return r.apply(at, e.Apply)
	case "delete":
		return r.delete(at, e.Delete)
	case "patch":
		return r.patch(at, e.Patch)
	case "scale":
		ref := r.ref(at, e.Scale.Object)
		switch n := e.Scale.Replicas; {
		case n == nil || *n < 0:
			r.fail(at+".replicas", "want a number of 0 or more")
		case ref.Kind != 0 && !ref.Kind.Info().Scale:
			r.fail(at+".object", "a %s cannot be scaled", ref.Kind)
		default:
			return Scale{ref, *n}
		}
	case "setImage":
		ref := r.ref(at, e.SetImage.Object)
		if e.SetImage.Image == "" {
			r.fail(at+".image", "is required")
		}
		if ref.Kind != 0 && api.PodSpecOf(ref.Kind.Info().New()) == nil && ref.Kind != kinds.ReplicationController {
			r.fail(at+".object", "a %s has no containers", ref.Kind)
		}
		return SetImage{ref, e.SetImage.Container, e.SetImage.Image}
	case "crash":
		return Crash{r.node(at, e.Crash.Node)}
	case "restart":
		return Restart{r.node(at, e.Restart.Node)}
	case "freeze":
		return Freeze{r.node(at, e.Freeze.Node)}
	case "thaw":
		return Thaw{r.node(at, e.Thaw.Node)}
	case "cordon":
		return Cordon{Node: r.node(at, e.Cordon.Node)}
	case "uncordon":
		return Cordon{Node: r.node(at, e.Uncordon.Node), Undo: true}
	case "cut":
		from, to := r.links(at, e.Cut)
		return Cut{from, to, e.Cut.OneWay}
	case "heal":
		if e.Heal.Node == "" && len(e.Heal.From) == 0 && len(e.Heal.To) == 0 {
			return Heal{}
		}
		from, to := r.links(at, e.Heal)
		return Heal{from, to, e.Heal.OneWay}
	case "request":
		return r.request(at, e.Request)
	case "drain":
		d := Drain{Node: r.node(at, e.Drain.Node), IgnoreDaemonSets: true, Grace: api.GraceDefault}
		if e.Drain.IgnoreDaemonSets != nil {
			d.IgnoreDaemonSets = *e.Drain.IgnoreDaemonSets
		}
		if g := e.Drain.GracePeriodSeconds; g != nil {
			d.Grace = *g
		}
		return d
	}
	return nil
}

func (r *reader) apply(at string, v any) Action {
	var docs []kinds.Document
	if list, ok := v.([]any); ok {
		for i, m := range list {
			docs = append(docs, r.manifest(fmt.Sprintf("%s[%d]", at, i), m)...)
		}
	} else {
		docs = r.manifest(at, v)
	}
	var a Apply
	for _, d := range docs {
		r.valid(d)
		a.Objects = append(a.Objects, d.Object)
	}
	if len(a.Objects) == 0 && len(r.errs) == 0 {
		r.fail(at, "names no object")
	}
	return a
}

// valid checks an object by itself, with its defaults filled in.
func (r *reader) valid(d kinds.Document) {
	o := kinds.Clone(d.Object)
	kinds.Default(o)
	for _, e := range kinds.Validate(o) {
		r.invalid(d, e.Field, e.ErrorBody())
	}
}

func (r *reader) invalid(d kinds.Document, field, problem string) {
	r.errs = append(r.errs, &kinds.InputError{File: d.File, Line: d.LineOf(field), Field: field, Problem: problem + " (" + d.Ref.String() + ")"})
}

func (r *reader) delete(at string, f *fileDelete) Action {
	d := Delete{Ref: r.ref(at, f.Object), Propagation: metav1.DeletionPropagation(f.Propagation), Grace: api.GraceDefault}
	if g := f.GracePeriodSeconds; g != nil {
		if d.Grace = *g; *g < 0 {
			r.fail(at+".gracePeriodSeconds", "want a number of 0 or more")
		}
	}
	switch d.Propagation {
	case "", metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan:
	default:
		r.fail(at+".propagation", "want Background, Foreground or Orphan")
	}
	return d
}

func (r *reader) patch(at string, f *filePatch) Action {
	p := Patch{Ref: r.ref(at, f.Object)}
	switch f.Type {
	case "", "strategic":
		p.Type = types.StrategicMergePatchType
	case "merge":
		p.Type = types.MergePatchType
	case "json":
		p.Type = types.JSONPatchType
	default:
		r.fail(at+".type", "want strategic, merge or json")
	}
	if f.Patch == nil {
		r.fail(at+".patch", "is required")
	}
	body, err := json.Marshal(f.Patch)
	if err != nil {
		r.fail(at+".patch", "%v", err)
	}
	p.Body = body
	return p
}

// ref reads "kind/namespace/name", or "kind/name" for a kind without namespaces.
func (r *reader) ref(at, s string) kinds.Ref {
	ref, err := ParseRef(s)
	if err != nil {
		r.fail(at+".object", "%v", err)
	}
	return ref
}

// ParseRef reads the name of an object as scenarios and the command line write it:
// "kind/namespace/name", or "kind/name" for a kind without namespaces. Kinds may be
// written in any of kubectl's ways: pod, pods, po.
func ParseRef(s string) (kinds.Ref, error) {
	parts := strings.Split(s, "/")
	if s == "" || len(parts) < 2 || slices.Contains(parts, "") {
		return kinds.Ref{}, fmt.Errorf("%q: want kind/namespace/name, such as deployment/default/web", s)
	}
	k, ok := kinds.ByName(parts[0])
	if !ok {
		return kinds.Ref{}, fmt.Errorf("%q: there is no kind %q%s", s, parts[0], kindHint(parts[0]))
	}
	switch namespaced := k.Info().Namespaced; {
	case namespaced && len(parts) != 3:
		return kinds.Ref{}, fmt.Errorf("%q: a %s is in a namespace: want %s/namespace/name", s, k, parts[0])
	case !namespaced && len(parts) != 2:
		return kinds.Ref{}, fmt.Errorf("%q: a %s is in no namespace: want %s/name", s, k, parts[0])
	case namespaced:
		return kinds.Ref{Kind: k, Key: kinds.Key{Namespace: parts[1], Name: parts[2]}}, nil
	}
	return kinds.Ref{Kind: k, Key: kinds.Key{Name: parts[1]}}, nil
}

func kindHint(word string) string {
	var names []string
	for _, i := range kinds.All() {
		names = append(names, i.Singular, i.Plural)
	}
	if near := kinds.Nearest(word, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// node checks that a node exists.
func (r *reader) node(at, name string) string {
	if name == "" {
		r.fail(at+".node", "is required")
	} else if !r.hasNode(name) {
		r.fail(at+".node", "there is no node %q in spec.cluster.nodeGroups%s", name, r.nodeHint(name))
	}
	return name
}

func (r *reader) hasNode(name string) bool {
	for _, n := range r.scn.Nodes {
		if n.Name == name {
			return true
		}
	}
	return false
}

func (r *reader) nodeHint(word string) string {
	names := make([]string, len(r.scn.Nodes))
	for i, n := range r.scn.Nodes {
		names[i] = n.Name
	}
	if near := kinds.Nearest(word, names); near != "" {
		return ", did you mean " + near + "?"
	}
	return ""
}

// links reads the two sides of a cut or heal.
func (r *reader) links(at string, f *fileLinks) (from, to []string) {
	switch {
	case f.Node != "" && (len(f.From) > 0 || len(f.To) > 0 || f.OneWay):
		r.fail(at, "want either node, or from and to")
	case f.Node != "":
		return []string{r.party(at+".node", f.Node)}, nil
	case len(f.From) == 0 || len(f.To) == 0:
		r.fail(at, "want node: NAME, or from: [...] and to: [...]")
	}
	for i, n := range f.From {
		from = append(from, r.party(fmt.Sprintf("%s.from[%d]", at, i), n))
		if slices.Contains(f.To, n) {
			r.fail(at+".to", "%q stands on both sides", n)
		}
	}
	for i, n := range f.To {
		to = append(to, r.party(fmt.Sprintf("%s.to[%d]", at, i), n))
	}
	return from, to
}

// party is a node, the control plane or the registry.
func (r *reader) party(at, name string) string {
	if name != ControlPlane && name != Registry && !r.hasNode(name) {
		r.fail(at, "there is no node %q in spec.cluster.nodeGroups (nor is it %s or %s)%s", name, ControlPlane, Registry, r.nodeHint(name))
	}
	return name
}

func (r *reader) checks() {
	seen := map[string]bool{}
	for i, f := range r.in.Spec.Checks {
		at := fmt.Sprintf("spec.checks[%d]", i)
		if f.Name == "" {
			r.fail(at+".name", "is required")
		} else if seen[f.Name] {
			r.fail(at+".name", "there is a check of this name already")
		}
		seen[f.Name] = true
		if c, ok := r.check(at, f); ok {
			r.scn.Checks = append(r.scn.Checks, c)
		}
	}
}

func (r *reader) check(at string, f fileCheck) (Check, bool) {
	c := Check{Name: f.Name, To: r.scn.Duration}
	n := 0
	for _, m := range []struct {
		mode Mode
		expr string
	}{{Eventually, f.Eventually}, {Always, f.Always}, {AtEnd, f.AtEnd}} {
		if m.expr != "" {
			n++
			c.Mode, c.Expr, c.Line = m.mode, m.expr, kinds.FindLine(r.root, at+"."+m.mode.String())
		}
	}
	if n != 1 {
		r.fail(at, "want one of eventually, always or atEnd")
		return c, false
	}
	if f.From != nil {
		c.From = time.Duration(*f.From)
	}
	allowed := map[Mode]string{Eventually: "by", Always: "until"}[c.Mode]
	for _, end := range []struct {
		name string
		at   *duration
	}{{"by", f.By}, {"until", f.Until}} {
		switch {
		case end.at == nil:
		case end.name != allowed:
			r.fail(at+"."+end.name, "does not go with %s", c.Mode)
		case time.Duration(*end.at) > r.scn.Duration:
			r.fail(at+"."+end.name, "is after the end of the run (spec.duration is %v)", r.scn.Duration)
		default:
			c.To = time.Duration(*end.at)
		}
	}
	switch {
	case c.Mode == AtEnd && f.From != nil:
		r.fail(at+".from", "does not go with atEnd")
	case c.From > c.To:
		r.fail(at+".from", "is after the check's end at %v", c.To)
	}
	return c, true
}
