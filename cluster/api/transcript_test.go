package api_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// TestTranscripts plays requests and prints what the API answers and stores;
// -rewrite writes the output.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := newSession(t, strings.HasSuffix(path, "accounts"))
		datadriven.RunTest(t, path, s.play)
	})
}

// session is one API with a clock that moves a second with each command.
type session struct {
	api *api.API
	now time.Time
}

func newSession(t *testing.T, accounts bool) *session {
	cfg := api.DefaultConfig()
	cfg.NodePortMax, cfg.Accounts = cfg.NodePortMin+3, accounts
	a, err := api.New(store.New(store.WindowDefault), rand.New(rand.NewPCG(1, 2)), cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := &session{api: a, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := a.Do(s.now, api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}})); err != nil {
		t.Fatal(err)
	}
	return s
}

// play carries out one command. Its argument "show" names the fields of the answer
// to print, as paths; without it the verb's outcome is a line.
func (s *session) play(t *testing.T, d *datadriven.TestData) string {
	s.now = s.now.Add(time.Second)
	var object, show, patch, propagation, node, uid, rv, wait string
	var grace, replicas int64 = api.GraceDefault, 0
	for name, at := range map[string]*string{"object": &object, "show": &show, "type": &patch, "propagation": &propagation, "node": &node, "uid": &uid, "rv": &rv, "for": &wait} {
		d.MaybeScanArgs(t, name, at)
	}
	d.MaybeScanArgs(t, "grace", &grace)
	d.MaybeScanArgs(t, "replicas", &replicas)
	var r api.Request
	switch d.Cmd {
	case "create", "update", "status", "apply":
		return s.write(t, d, show)
	case "get":
		o, err := s.api.Get(parseRef(t, object))
		return s.answer(o, err, show)
	case "list":
		return s.list(object)
	case "note":
		return s.note(t, object, d.Input)
	case "wait":
		span, err := time.ParseDuration(wait)
		if err != nil {
			t.Fatal(err)
		}
		s.now = s.now.Add(span)
		return ""
	case "delete":
		r = api.Delete(parseRef(t, object), types.UID(uid))
		r.Propagation, r.Grace, r.RV = metav1.DeletionPropagation(propagation), grace, rv
	case "patch":
		body, err := yaml.YAMLToJSON([]byte(d.Input))
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]types.PatchType{"": types.StrategicMergePatchType, "merge": types.MergePatchType, "json": types.JSONPatchType, "odd": "application/odd"}
		r = api.Patch(parseRef(t, object), kinds[patch], body)
	case "bind":
		ref := parseRef(t, object)
		r = api.Bind(ref.Key, types.UID(uid), node)
	case "evict":
		r = api.Evict(parseRef(t, object).Key, types.UID(uid))
	case "scale":
		r = api.Scale(parseRef(t, object), int32(replicas))
	case "finalize":
		ref := parseRef(t, object)
		r = api.Request{Verb: api.VerbUpdate, Ref: ref, Subresource: api.SubFinalize, Object: &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ref.Name}}}
	default:
		t.Fatalf("unknown command %s", d.Cmd)
	}
	o, err := s.api.Do(s.now, r)
	return s.answer(o, err, show)
}

func parseRef(t *testing.T, s string) kinds.Ref {
	parts := strings.Split(s, "/")
	k, ok := kinds.ByName(parts[0])
	if !ok {
		t.Fatalf("no kind %q", s)
	}
	if len(parts) == 2 {
		return kinds.Ref{Kind: k, Key: kinds.Key{Name: parts[1]}}
	}
	return kinds.Ref{Kind: k, Key: kinds.Key{Namespace: parts[1], Name: parts[2]}}
}

func (s *session) write(t *testing.T, d *datadriven.TestData, show string) string {
	docs, err := kinds.Decode("", []byte(d.Input))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, doc := range docs {
		var r api.Request
		switch d.Cmd {
		case "create":
			r = api.Create(doc.Object)
			r.DryRun = d.HasArg("dry-run")
		case "update":
			r = api.Update(doc.Object)
		case "status":
			r = api.UpdateStatus(doc.Object)
		case "apply":
			live, _ := s.api.Get(doc.Ref)
			if r, err = api.Apply(live, doc.Object); err != nil {
				t.Fatal(err)
			}
			if r.Verb == 0 {
				b.WriteString("nothing to do\n")
				continue
			}
		}
		o, err := s.api.Do(s.now, r)
		b.WriteString(s.answer(o, err, show))
	}
	return b.String()
}

// answer prints an error with its code and reason, or the object's fields that
// show names.
func (s *session) answer(o kinds.Object, err error, show string) string {
	if err != nil {
		status := err.(apierrors.APIStatus).Status()
		return fmt.Sprintf("%d %s: %s\n", status.Code, status.Reason, status.Message)
	}
	out := fmt.Sprintf("%s@%s generation %d\n", kinds.RefOf(o), o.GetResourceVersion(), o.GetGeneration())
	if s.api.Store().Get(kinds.RefOf(o)) == nil {
		out = fmt.Sprintf("%s@%s is gone\n", kinds.RefOf(o), o.GetResourceVersion())
	}
	if show == "" {
		return out
	}
	raw, err := yaml.Marshal(kinds.WithType(o))
	if err != nil {
		return err.Error()
	}
	var tree any
	if err := yaml.Unmarshal(raw, &tree); err != nil {
		return err.Error()
	}
	for _, path := range strings.Split(show, "|") {
		v, err := yaml.Marshal(lookup(tree, strings.Split(path, ".")))
		if err != nil {
			return err.Error()
		}
		text := strings.TrimSpace(string(v))
		if strings.Contains(text, "\n") {
			text = "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		}
		out += fmt.Sprintf("%s: %s\n", path, text)
	}
	return out
}

func lookup(tree any, path []string) any {
	for i, p := range path {
		switch t := tree.(type) {
		case map[string]any:
			tree = t[p]
		case []any:
			var out []any
			for _, x := range t {
				out = append(out, lookup(x, path[i:]))
			}
			return out
		default:
			return nil
		}
	}
	return tree
}

func (s *session) list(kind string) string {
	k, _ := kinds.ByName(kind)
	var b strings.Builder
	for o := range s.api.Store().List(k, "") {
		fmt.Fprintf(&b, "%s", kinds.RefOf(o))
		if e, ok := o.(*corev1.Event); ok {
			fmt.Fprintf(&b, " %s x%d %s: %s (%s)", e.Type, e.Count, e.Reason, e.Message, e.InvolvedObject.Name)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (s *session) note(t *testing.T, object, message string) string {
	o, err := s.api.Get(parseRef(t, object))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.api.Record(s.now, api.Normal(o, "tester", "Tested", strings.TrimSpace(message))); err != nil {
		return err.Error() + "\n"
	}
	return ""
}
