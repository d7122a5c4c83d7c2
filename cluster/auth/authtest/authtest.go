package authtest

import (
	"fmt"
	"strings"
	"testing"

	"seatrial.dev/seatrial/cluster/auth"
	"seatrial.dev/seatrial/cluster/kinds"
)

// Objects reads a manifest.
func Objects(t testing.TB, manifest string) []kinds.Object {
	t.Helper()
	docs, err := kinds.Decode("", []byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	var out []kinds.Object
	for _, d := range docs {
		kinds.Default(d.Object)
		out = append(out, d.Object)
	}
	return out
}

// User reads "name,group,group". The groups of a service account are added.
func User(s string) auth.User {
	parts := strings.Split(strings.TrimSpace(s), ",")
	u := auth.User{Name: parts[0], Groups: parts[1:]}
	if ns, name, ok := auth.SplitServiceAccount(u.Name); ok {
		u.Groups = append(auth.ServiceAccount(ns, name).Groups, u.Groups...)
	}
	return u
}

// Question reads "user verb what", where what is a path, or
// [namespace:]resource[.group][/subresource][=name].
func Question(t testing.TB, line string) *auth.Attributes {
	t.Helper()
	f := strings.Fields(line)
	if len(f) != 3 {
		t.Fatalf("want \"user verb what\", have %q", line)
	}
	a := &auth.Attributes{User: User(f[0]), Verb: f[1]}
	if strings.HasPrefix(f[2], "/") {
		a.Path = f[2]
		return a
	}
	a.ResourceRequest = true
	what := f[2]
	if ns, rest, ok := strings.Cut(what, ":"); ok && !strings.Contains(ns, "=") {
		a.Namespace, what = ns, rest
	}
	what, a.Name, _ = strings.Cut(what, "=")
	what, a.Subresource, _ = strings.Cut(what, "/")
	a.Resource, a.APIGroup, _ = strings.Cut(what, ".")
	return a
}

// Ask puts a question a line and answers each with a line: the decision and its
// reason or, where nobody allows, the refusal that a client would read.
func Ask(t testing.TB, az auth.Authorizer, lines string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(lines) {
		a := Question(t, line)
		d, reason := az.Authorize(a)
		if d == auth.Allow {
			fmt.Fprintln(&b, strings.TrimSpace("yes "+reason))
			continue
		}
		fmt.Fprintln(&b, "no ", auth.Forbidden(a, reason).Error())
	}
	return b.String()
}
