package conformance

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false, "write docs/CONFORMANCE.md anew")

// entry is one entry of Kubernetes' conformance list. It has a Test, which holds, or
// is Missing for a reason.
type entry struct {
	Group    string
	Name     string // testname of the list
	Codename string // codename of the list, without the mark that all have
	Test     func(t *testing.T, c *cluster)
	Missing  string
}

// registry is every entry gone through, by group in the order of the document.
var registry = slices.Concat(
	discoveryEntries, watchEntries, chunkingEntries, validationEntries, collectorEntries, namespaceEntries,
	configMapEntries, secretEntries, serviceEntries, leaseEntries, podTemplateEntries, eventEntries,
	deploymentEntries, setEntries, jobEntries, accountEntries, quotaEntries, restEntries, missingEntries,
)

func TestConformance(t *testing.T) {
	c := open(t)
	t.Run("entries", func(t *testing.T) {
		for _, e := range registry {
			if e.Test == nil {
				continue
			}
			t.Run(e.Group+"/"+e.Codename, func(t *testing.T) {
				t.Parallel()
				e.Test(t, c.forEntry(t))
			})
		}
	})
}

// TestRegistry: an entry is there once, and either holds or says why not.
func TestRegistry(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range registry {
		require.False(t, seen[e.Codename], "twice: %s", e.Codename)
		seen[e.Codename] = true
		require.True(t, strings.HasPrefix(e.Codename, "[sig-"), "%q is no codename", e.Codename)
		require.NotEmpty(t, e.Group, e.Codename)
		require.NotEmpty(t, e.Name, e.Codename)
		require.NotEqual(t, e.Test == nil, e.Missing == "", "%s must have a test or a reason", e.Codename)
	}
}

const document = "../docs/CONFORMANCE.md"

// TestDocument holds docs/CONFORMANCE.md against the registry.
func TestDocument(t *testing.T) {
	want := describe(registry)
	if *rewrite {
		require.NoError(t, os.WriteFile(document, want, 0o666))
		return
	}
	have, err := os.ReadFile(document)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, have), "docs/CONFORMANCE.md is not what the registry says; write it anew: go test ./conformance -run Document -rewrite")
}

// count is how many entries of a group hold, of how many.
type count struct{ holds, all int }

// describe writes the document.
func describe(entries []entry) []byte {
	var groups []string
	counts := map[string]*count{}
	total := &count{}
	for _, e := range entries {
		n := counts[e.Group]
		if n == nil {
			n = &count{}
			counts[e.Group], groups = n, append(groups, e.Group)
		}
		for _, n := range []*count{n, total} {
			n.all++
			if e.Test != nil {
				n.holds++
			}
		}
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Conformance

Kubernetes has a list of what every cluster must do
(%[1]stest/conformance/testdata/conformance.yaml%[1]s of k8s.io/kubernetes; this is the list as
of 1.32, for jobs as of 1.33). Of the groups below, **%[2]d of %[3]d** entries hold for a
cluster that %[1]sseatrial serve%[1]s serves. Each of them is backed by a test that drives such a
cluster with client-go; %[1]sgo test ./conformance%[1]s runs them all. This file is written from
the same registry.

The tests ask what the entry's description demands, in words of their own; they are not
Kubernetes' own test programs. Groups that need containers with a process inside
(kubelet, DNS, networking, most of storage, kubectl) are not gone through.

| group | holds | of |
|---|--:|--:|
`, "`", total.holds, total.all)
	for _, g := range groups {
		fmt.Fprintf(&b, "| %s | %d | %d |\n", g, counts[g].holds, counts[g].all)
	}
	b.WriteString("\n## What is missing, by reason\n\n| entries | reason |\n|--:|---|\n")
	writeReasons(&b, entries)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| entry | code name | |\n|---|---|---|\n", g)
		for _, e := range entries {
			if e.Group == g {
				mark := "holds"
				if e.Test == nil {
					mark = "missing: " + e.Missing
				}
				fmt.Fprintf(&b, "| %s | %s | %s |\n", e.Name, e.Codename, mark)
			}
		}
	}
	return b.Bytes()
}

// writeReasons counts the entries that each reason keeps from holding, the most first.
func writeReasons(b *bytes.Buffer, entries []entry) {
	counts := map[string]int{}
	var reasons []string
	for _, e := range entries {
		if e.Missing == "" {
			continue
		}
		if counts[e.Missing] == 0 {
			reasons = append(reasons, e.Missing)
		}
		counts[e.Missing]++
	}
	slices.SortStableFunc(reasons, func(x, y string) int { return cmp.Compare(counts[y], counts[x]) })
	for _, r := range reasons {
		fmt.Fprintf(b, "| %d | %s |\n", counts[r], r)
	}
}

// Reasons that many entries share.
const (
	noProcess = "a container runs no process, so nothing can be asked of its environment or output"
	noVolumes = "a container has no files, so nothing can be read from a mounted volume"
	noTraffic = "requests between pods and services are not modelled"
)

// missing makes entries that do not hold for one reason, of pairs of name and
// codename.
func missing(group, reason string, pairs ...string) (out []entry) {
	for p := range slices.Chunk(pairs, 2) {
		out = append(out, entry{Group: group, Name: p[0], Codename: p[1], Missing: reason})
	}
	return out
}
