package detlint_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/analysis/analysistest"

	"seatrial.dev/seatrial/internal/detlint"
)

// The packages under testdata/src say in // want comments what is found in them.
func TestFindings(t *testing.T) {
	for _, pkg := range []string{
		"sim/engine",       // what is for every covered package
		"sched",            // floating point too
		"cluster/store",    // the environment too
		"scenarios/report", // covered, but no part of the core
		"live/agent",       // exempt
	} {
		t.Run(pkg, func(t *testing.T) {
			analysistest.Run(t, analysistest.TestData(), detlint.Analyzer, "seatrial.dev/seatrial/"+pkg)
		})
	}
	t.Run("another module", func(t *testing.T) {
		analysistest.Run(t, analysistest.TestData(), detlint.Analyzer, "elsewhere.example/pkg")
	})
}

func TestCountEscapes(t *testing.T) {
	root := t.TempDir()
	for file, text := range map[string]string{
		"sched/a.go":            "package sched\n\nvar x = 1 //det:ok for a reason\n\nvar y = 2 //det:ok for another reason\n",
		"sched/a_test.go":       "package sched\n\nvar z = 1 //det:ok of a test\n",
		"sched/testdata/b.go":   "package b\n\nvar z = 1 //det:ok of test data\n",
		"live/agent/a.go":       "package agent\n\nvar z = 1 //det:ok in an exempt package\n",
		"cluster/store/deep.go": "package store\n\n// The text //det:ok inside a comment is none.\nvar s = \"//det:ok nor is this\" //det:ok but this one is\n",
		"ctrl/a.go":             "package ctrl\n\nvar n = 1 //det:okay is another word\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, filepath.Dir(file)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, file), []byte(text), 0o644))
	}
	got, err := detlint.CountEscapes(root)
	require.NoError(t, err)
	require.Equal(t, []detlint.PackageEscapes{{Package: "cluster/store", Count: 1}, {Package: "sched", Count: 2}}, got)
}
