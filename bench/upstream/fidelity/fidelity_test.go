package fidelity

import (
	"os"
	"path/filepath"
	"testing"
)

const regressions = "../testdata/regressions"

// Cases that once differed, by the name of what was wrong.
func TestRegressions(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(regressions, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := ReadCase(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Look()
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range r.Differences {
				t.Error(d)
			}
			if t.Failed() {
				t.Logf("again: go run . case %s", filepath.Join("testdata/regressions", filepath.Base(file)))
			}
		})
	}
}

// Cases that differ still. One that does no more belongs among the regressions.
func TestOpenCases(t *testing.T) {
	files, err := filepath.Glob("../testdata/open/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		c, err := ReadCase(file)
		if err != nil {
			t.Fatal(err)
		}
		r, err := c.Look()
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Differences) == 0 {
			t.Errorf("%s differs no more: move it to testdata/regressions", file)
		}
		for _, d := range r.Differences {
			t.Logf("%s: %s", filepath.Base(file), d)
		}
	}
}

// Seeds that once differed, where it took a history to differ: a line each of
// "seed decisions what was wrong".
func TestRegressionSeeds(t *testing.T) {
	seeds, err := readSeeds(filepath.Join(regressions, "seeds"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range seeds {
		same(t, Options{Seed: s.seed, Decisions: s.decisions, Out: testLog{t}})
	}
}

const decisionsTested = 500

func TestDecisionsAreUpstreams(t *testing.T) {
	same(t, Options{Seed: 1, Decisions: decisionsTested, DifferencesMax: 3, Out: testLog{t}})
}

func same(t *testing.T, o Options) {
	sum, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Differ > 0 {
		t.Errorf("the schedulers differ:\n%s", sum)
	}
}

type testLog struct{ t *testing.T }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

func TestCaseIsReadAsWritten(t *testing.T) {
	dir := t.TempDir()
	c := &Case{Objects: drawn(3), Pod: parseKey("default/none")}
	for _, o := range c.Objects {
		if pod := asPod(o); pod != nil {
			c.Pod = parseKey(pod.Namespace + "/" + pod.Name)
		}
	}
	path := filepath.Join(dir, "case.yaml")
	if err := c.write(path, &Result{}); err != nil {
		t.Fatal(err)
	}
	back, err := ReadCase(path)
	if err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(dir, "again.yaml")
	if err := back.write(again, &Result{}); err != nil {
		t.Fatal(err)
	}
	a, _ := os.ReadFile(path)
	b, _ := os.ReadFile(again)
	if string(a) != string(b) {
		t.Error("a case is another after it was written and read")
	}
}
