package scenarios

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// request reads a write of a recorded run. Its body is not judged: it was taken or
// refused then, and will be again.
func (r *reader) request(at string, f *fileRequest) Action {
	q := api.Request{Subresource: f.Subresource, PatchType: types.PatchType(f.PatchType), Patch: []byte(f.Patch), Node: f.Node, Replicas: f.Replicas,
		UID: types.UID(f.UID), RV: f.ResourceVersion, Grace: api.GraceDefault, Propagation: metav1.DeletionPropagation(f.Propagation), Owners: f.Owners}
	for _, v := range []api.Verb{api.VerbCreate, api.VerbUpdate, api.VerbPatch, api.VerbDelete} {
		if v.String() == f.Verb {
			q.Verb = v
		}
	}
	if q.Verb == 0 {
		r.fail(at+".verb", "want create, update, patch or delete")
	}
	if f.GracePeriodSeconds != nil {
		q.Grace = *f.GracePeriodSeconds
	}
	if f.Body != nil {
		docs, err := kinds.DecodeNode(r.file, kinds.FindNode(r.root, at+".body"))
		if err != nil {
			r.include(at+".body", err)
			return nil
		}
		if len(docs) == 1 {
			q.Object, q.Ref = docs[0].Object, docs[0].Ref
		}
	}
	if f.Object != "" {
		q.Ref = r.ref(at, f.Object)
	}
	return Request{q}
}

// Recorded is one entry of a recording: a write and when it was made.
type Recorded struct {
	At      time.Duration
	request fileRequest
}

// Record notes a write as it is asked for, before the API changes its object.
func Record(at time.Duration, q api.Request) (Recorded, error) {
	f := fileRequest{Verb: q.Verb.String(), Subresource: q.Subresource, PatchType: string(q.PatchType), Patch: string(q.Patch), Node: q.Node,
		Replicas: q.Replicas, UID: string(q.UID), ResourceVersion: q.RV, Propagation: string(q.Propagation), Owners: q.Owners}
	if q.Grace >= 0 && (q.Verb == api.VerbDelete || q.Subresource == api.SubEviction) {
		f.GracePeriodSeconds = &q.Grace
	}
	if q.Ref.Name != "" {
		f.Object = q.Ref.String()
	}
	if q.Object != nil {
		raw, err := json.Marshal(kinds.WithType(q.Object))
		if err == nil {
			err = json.Unmarshal(raw, &f.Body)
		}
		if err != nil {
			return Recorded{}, fmt.Errorf("record %s: %w", q, err)
		}
	}
	return Recorded{at, f}, nil
}

// WithRecording returns the text of a scenario file that repeats a served run: the
// scenario with its seed, the entries added to its time line, ending at the given
// time, to be written into folder dir. Its checks are left out: they judge the
// scenario as it was.
func (s *Scenario) WithRecording(dir string, seed uint64, entries []Recorded, end time.Duration) ([]byte, error) {
	raw, err := os.ReadFile(s.File)
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	spec, _ := doc["spec"].(map[string]any)
	if spec == nil {
		return nil, fmt.Errorf("record: %s has no spec", s.File)
	}
	from, err := filepath.Abs(filepath.Dir(s.File))
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	var line []any
	old, _ := spec["timeline"].([]any)
	for _, e := range old {
		step, _ := e.(map[string]any)
		at, _ := step["at"].(string)
		if d, err := parseDuration(at); err != nil || d > end {
			continue // it had not come
		}
		if step["apply"] != nil {
			step["apply"] = movedPaths(step["apply"], from, dir)
		}
		line = append(line, e)
	}
	for _, e := range entries {
		line = append(line, map[string]any{"at": e.At.String(), "request": e.request})
	}
	if spec["manifests"] != nil {
		spec["manifests"] = movedPaths(spec["manifests"], from, dir)
	}
	if cluster, _ := spec["cluster"].(map[string]any); cluster["scheduler"] != nil {
		cluster["scheduler"] = movedPaths(cluster["scheduler"], from, dir)
	}
	spec["timeline"], spec["duration"], spec["seed"] = line, end.String(), seed
	if !s.Start.IsZero() {
		spec["start"] = s.Start.Format(time.RFC3339)
	}
	delete(spec, "checks")
	return yaml.Marshal(doc)
}

// movedPaths makes file names that were relative to one folder relative to another.
func movedPaths(v any, from, to string) any {
	switch v := v.(type) {
	case string:
		if moved, err := filepath.Rel(to, filepath.Join(from, v)); err == nil && !filepath.IsAbs(v) {
			return moved
		}
	case []any:
		for i := range v {
			v[i] = movedPaths(v[i], from, to)
		}
	}
	return v
}
