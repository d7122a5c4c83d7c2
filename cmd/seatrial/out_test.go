package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// TestOut holds the files of --out against what the readers of each kind expect.
func TestOut(t *testing.T) {
	dir := t.TempDir()
	copyYAML(t, filepath.Join(dir, "scenarios"), "../../scenarios")
	r := call(t, dir, "run", "scenarios/guestbook.yaml", "--out", "o", "--progress", "none")
	require.Zero(t, r.code, r.err)
	out := filepath.Join(dir, "o")

	t.Run("trace.jsonl", func(t *testing.T) {
		f, err := os.Open(filepath.Join(out, "trace.jsonl"))
		require.NoError(t, err)
		defer f.Close()
		seen := map[uint64]bool{0: true}
		last := uint64(0)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var l struct {
				Time, Component, What, Object string
				Seq, Cause                    uint64
			}
			require.NoError(t, json.Unmarshal(lines.Bytes(), &l), lines.Text())
			require.NotEmpty(t, l.Time)
			require.NotEmpty(t, l.Component)
			require.True(t, seen[l.Cause], "an event before its cause: %s", lines.Text())
			seen[l.Seq] = true
			last = l.Seq
		}
		require.Greater(t, last, uint64(100))
	})
	t.Run("state.yaml", func(t *testing.T) {
		var l struct {
			APIVersion, Kind string
			Metadata         map[string]any
			Items            []map[string]any
		}
		require.NoError(t, yaml.UnmarshalStrict(read(t, out, "state.yaml"), &l))
		require.Equal(t, "v1 List", l.APIVersion+" "+l.Kind)
		count := map[any]int{}
		for _, o := range l.Items {
			count[o["kind"]]++
		}
		require.Equal(t, 3, count["Node"])
		require.Equal(t, 6, count["Pod"])
	})
	t.Run("trace.perfetto.json", func(t *testing.T) {
		var trace struct {
			TraceEvents []struct {
				Ph, Name string
				Ts       *float64
			}
		}
		require.NoError(t, json.Unmarshal(read(t, out, "trace.perfetto.json"), &trace))
		require.Greater(t, len(trace.TraceEvents), 10)
		for _, e := range trace.TraceEvents {
			require.NotEmpty(t, e.Ph, "%+v", e)
			require.True(t, e.Ph == "M" || e.Ts != nil, "only metadata has no time: %+v", e)
		}
	})
	t.Run("report.html", func(t *testing.T) {
		page := string(read(t, out, "report.html"))
		require.True(t, strings.HasPrefix(strings.ToLower(page), "<!doctype html>"))
		require.Contains(t, page, "guestbook")
		require.Contains(t, page, "worker-1")
		require.NotRegexp(t, `(?i)(src|href)\s*=\s*["']?(https?:)?//|@import|url\(\s*["']?(https?:)?//`, page, "the page must open without a network")
	})
	t.Run("junit.xml", func(t *testing.T) {
		var s struct {
			Tests  int `xml:"tests,attr"`
			Suites []struct {
				Cases []struct{} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		require.NoError(t, xml.Unmarshal(read(t, out, "junit.xml"), &s))
		require.Len(t, s.Suites, 1)
		require.Len(t, s.Suites[0].Cases, s.Tests)
	})
}

func read(t *testing.T, dir, file string) []byte {
	text, err := os.ReadFile(filepath.Join(dir, file))
	require.NoError(t, err)
	return text
}
