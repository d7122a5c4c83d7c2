package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/store"
)

// TestTranscripts sends the requests of testdata and prints the answers; -rewrite
// writes them. A request is its line, its headers, an empty line and the body. The
// argument "show" names the fields of the answer to print, as paths; without it all
// of the answer is printed but managedFields, which "managed" brings back.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.Contains(path, "fuzz") {
			return
		}
		c := newCluster(t, store.WindowDefault, apiserver.Config{Report: func(p any, stack []byte) { t.Errorf("panic: %v\n%s", p, stack) }})
		last := ""
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "log":
				c.logs[d.CmdArgs[0].Key] = d.Input + "\n"
				return ""
			case "http":
				var out string
				out, last = c.play(t, d, last)
				return out
			}
			t.Fatalf("unknown command %s", d.Cmd)
			return ""
		})
	})
}

// play sends one request. "$CONTINUE" in it is the continue token of the answer
// before.
func (c *testCluster) play(t *testing.T, d *datadriven.TestData, token string) (shown, next string) {
	text := strings.ReplaceAll(d.Input, "$CONTINUE", token)
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(head, "\n")
	method, path, ok := strings.Cut(lines[0], " ")
	if !ok {
		t.Fatalf("want METHOD PATH, got %q", lines[0])
	}
	if len(lines) > 1 && !strings.Contains(lines[1], ": ") {
		t.Fatalf("want a header, got %q", lines[1])
	}
	w := c.request(method, path, "", body, lines[1:]...)
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s\n", w.Code, http.StatusText(w.Code))
	for _, h := range []string{"Content-Type", "Warning", "Retry-After", "Location"} {
		for _, v := range w.Header()[h] {
			if v != "application/json" {
				fmt.Fprintf(&b, "%s: %s\n", h, v)
			}
		}
	}
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		b.WriteString(strings.TrimSpace(w.Body.String()) + "\n")
		return b.String(), ""
	}
	for dec := json.NewDecoder(w.Body); dec.More(); {
		var m map[string]any
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("answer: %v", err)
		}
		next = showBody(t, &b, d, m)
	}
	return b.String(), next
}

func showBody(t *testing.T, b *strings.Builder, d *datadriven.TestData, m map[string]any) string {
	token, _ := field(m, "metadata.continue").(string)
	if token != "" {
		m["metadata"].(map[string]any)["continue"] = "(a token)"
	}
	var show []string
	for _, a := range d.CmdArgs {
		if a.Key == "show" {
			show = a.Vals
		}
	}
	if !d.HasArg("managed") {
		strip(m)
	}
	if len(show) == 0 {
		text, err := yaml.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
		return token
	}
	for _, path := range show {
		v, err := json.Marshal(field(m, path))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "%s: %s\n", path, v)
	}
	return token
}

// strip takes managedFields away, wherever they are.
func strip(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "managedFields")
		for _, x := range v {
			strip(x)
		}
	case []any:
		for _, x := range v {
			strip(x)
		}
	}
}

// field finds a value by its path; "items[].metadata.name" collects from a list.
func field(v any, path string) any {
	if path == "" {
		return v
	}
	step, rest, _ := strings.Cut(path, ".")
	name, each := strings.CutSuffix(step, "[]")
	m, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	v = m[name]
	if !each {
		return field(v, rest)
	}
	list, _ := v.([]any)
	out := make([]any, len(list))
	for i := range list {
		out[i] = field(list[i], rest)
	}
	return slices.Clip(out)
}
