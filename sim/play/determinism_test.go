package play

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"seatrial.dev/seatrial/internal/trace"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/check"
	"seatrial.dev/seatrial/sim"
	"seatrial.dev/seatrial/sim/world"
)

const folder = "../../scenarios"

// bigNodes is from how many nodes on a scenario is left out of quick test runs.
const bigNodes = 500

// The test binary runs itself anew as another process. These variables tell the
// other process what to do.
const (
	envScenarios = "PLAY_TEST_SCENARIOS" // files to run, separated by the list separator; prints a line each
	envTraceTo   = "PLAY_TEST_TRACE_TO"  // and writes the trace of the first of them into this file
)

func TestMain(m *testing.M) {
	if files := os.Getenv(envScenarios); files != "" {
		if err := otherProcess(filepath.SplitList(files), os.Getenv(envTraceTo)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func otherProcess(files []string, traceTo string) error {
	for _, file := range files {
		scn, err := scenarios.Read(file)
		if err != nil {
			return err
		}
		if traceTo != "" {
			return record(scn, scn.Seed, traceTo)
		}
		v, _ := Run(scn, Options{Seed: scn.Seed})
		fmt.Println(outcome(v))
	}
	return nil
}

// outcome is what must be the same in every run of a scenario and seed.
func outcome(v scenarios.Verdict) string {
	text := fmt.Sprintf("%s seed=%d time=%v events=%d hash=%016x passed=%v", v.Scenario.Name, v.Seed, v.Time, v.Events, v.Hash, v.Passed())
	if v.Err != nil {
		text += " error=" + strings.SplitN(v.Err.Error(), "\n", 2)[0]
	}
	for _, r := range v.Checks {
		text += fmt.Sprintf(" %q=%v@%v", r.Name, r.Held, r.At)
	}
	return text
}

// all reads every scenario of the repository.
func all(t testing.TB) (list []*scenarios.Scenario) {
	files, err := scenarios.Find([]string{folder})
	require.NoError(t, err)
	for _, file := range files {
		scn, err := scenarios.Read(file)
		require.NoError(t, err)
		list = append(list, scn)
	}
	require.NotEmpty(t, list)
	return list
}

// small leaves out the scenarios that take seconds.
func small(t testing.TB) (list []*scenarios.Scenario) {
	for _, scn := range all(t) {
		if len(scn.Nodes) < bigNodes {
			list = append(list, scn)
		}
	}
	return list
}

// TestDeterminism runs every scenario twice in this process and once in each of
// two others, which have one and two processors. All four must be the same run.
func TestDeterminism(t *testing.T) {
	list := all(t)
	if testing.Short() || raceDetector {
		for _, scn := range list {
			if len(scn.Nodes) >= bigNodes {
				t.Run(scn.Name, func(t *testing.T) {
					t.Skipf("LEFT OUT under -short and -race: %s has %d nodes and takes long; run go test ./sim/play -run Determinism", scn.File, len(scn.Nodes))
				})
			}
		}
		list = small(t)
	}
	var files []string
	for _, scn := range list {
		files = append(files, scn.File)
	}
	others := []*other{startOther(t, 1, files), startOther(t, 2, files)}
	first := make([]string, len(list))
	for i, scn := range list {
		v, _ := Run(scn, Options{Seed: scn.Seed})
		first[i] = outcome(v)
		again, _ := Run(scn, Options{Seed: scn.Seed})
		if second := outcome(again); first[i] != second {
			t.Errorf("%s: two runs in one process differ:\n  %s\n  %s\n%s", scn.File, first[i], second, differHere(t, scn))
		}
	}
	for _, o := range others {
		lines := o.lines(t)
		require.Len(t, lines, len(list))
		for i, line := range lines {
			if first[i] != line {
				t.Errorf("%s: a run in another process, with GOMAXPROCS=%d, differs:\n  %s\n  %s\n%s",
					list[i].File, o.procs, first[i], line, differThere(t, list[i], o.procs))
			}
		}
	}
}

// TestSeedsAreRepeatable runs small scenarios with seeds of all kinds, each twice.
func TestSeedsAreRepeatable(t *testing.T) {
	list := small(t)
	rapid.Check(t, func(t *rapid.T) {
		scn := rapid.SampledFrom(list).Draw(t, "scenario")
		seed := rapid.Uint64().Draw(t, "seed")
		a, _ := Run(scn, Options{Seed: seed})
		b, _ := Run(scn, Options{Seed: seed})
		require.Equal(t, outcome(a), outcome(b), "replay: seatrial run %s --seed %d", scn.File, seed)
		require.NoError(t, a.Err)
		c, _ := Run(scn, Options{Seed: seed + 1})
		require.NotEqual(t, a.Hash, c.Hash, "the hash must depend on the seed")
	})
}

// TestRunsSideBySide plays many runs at a time: they must not know of each other.
func TestRunsSideBySide(t *testing.T) {
	var jobs []Job
	var alone []string
	for _, scn := range small(t) {
		for seed := range uint64(3) {
			jobs = append(jobs, Job{Scenario: scn, Seed: seed})
			v, _ := Run(scn, Options{Seed: seed})
			alone = append(alone, outcome(v))
		}
	}
	var got []string
	All(context.Background(), jobs, 4*runtime.NumCPU(), func(v scenarios.Verdict) { got = append(got, outcome(v)) })
	require.Equal(t, alone, got)
}

// TestLookingOnChangesNothing holds a recorded and watched run against a bare one.
func TestLookingOnChangesNothing(t *testing.T) {
	for _, scn := range small(t) {
		bare, _ := Run(scn, Options{Seed: scn.Seed})
		file := filepath.Join(t.TempDir(), "trace")
		require.NoError(t, record(scn, scn.Seed, file))
		last := ""
		for lines := scan(t, file); lines.Scan(); {
			last = lines.Text()
		}
		hash, _, _ := strings.Cut(last, " ")
		require.Equal(t, fmt.Sprintf("%016x", bare.Hash), hash, "%s: the last line of the trace is %q", scn.Name, last)
	}
}

// TestFirstDifferenceIsNamed holds two runs with different seeds against each
// other, as a run that is not repeatable would show.
func TestFirstDifferenceIsNamed(t *testing.T) {
	scn := small(t)[0]
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, record(scn, 1, a))
	require.NoError(t, record(scn, 1, b))
	require.Contains(t, firstDifference(t, a, b), "the traces are equal")

	lines, err := os.ReadFile(b)
	require.NoError(t, err)
	changed := strings.Split(string(lines), "\n")
	changed[41] = strings.Replace(changed[41], " ", " (changed) ", 1)
	require.NoError(t, os.WriteFile(b, []byte(strings.Join(changed, "\n")), 0o644))
	got := firstDifference(t, a, b)
	require.Contains(t, got, "line 42 is the first that differs")
	require.Contains(t, got, "(changed)")
	require.True(t, strings.HasSuffix(got, changed[40]), got)

	require.NoError(t, os.WriteFile(b, []byte(strings.Join(changed[:41], "\n")+"\n"), 0o644))
	require.Contains(t, firstDifference(t, a, b), "line 42 is the first that differs")
}

// other is a run of the test binary as another process.
type other struct {
	procs  int
	cmd    *exec.Cmd
	out    strings.Builder
	errors strings.Builder
}

func startOther(t *testing.T, procs int, files []string, env ...string) *other {
	self, err := os.Executable()
	require.NoError(t, err)
	o := &other{procs: procs, cmd: exec.Command(self)}
	// A garbage collector that works more often moves what depends on addresses.
	o.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs), fmt.Sprintf("GOGC=%d", 50*procs),
		envScenarios+"="+strings.Join(files, string(filepath.ListSeparator)))
	o.cmd.Env = append(o.cmd.Env, env...)
	o.cmd.Stdout, o.cmd.Stderr = &o.out, &o.errors
	require.NoError(t, o.cmd.Start())
	return o
}

func (o *other) lines(t *testing.T) []string {
	require.NoError(t, o.cmd.Wait(), o.errors.String())
	return strings.Split(strings.TrimSpace(o.out.String()), "\n")
}

// differHere records a scenario twice in this process and compares.
func differHere(t *testing.T, scn *scenarios.Scenario) string {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, record(scn, scn.Seed, a))
	require.NoError(t, record(scn, scn.Seed, b))
	return firstDifference(t, a, b)
}

// differThere records a scenario here and in another process and compares.
func differThere(t *testing.T, scn *scenarios.Scenario, procs int) string {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	require.NoError(t, record(scn, scn.Seed, a))
	startOther(t, procs, []string{scn.File}, envTraceTo+"="+b).lines(t)
	return firstDifference(t, a, b)
}

func scan(t *testing.T, file string) *bufio.Scanner {
	f, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	return s
}

// firstDifference names the first event that differs between two traces.
func firstDifference(t *testing.T, fileA, fileB string) string {
	a, b := scan(t, fileA), scan(t, fileB)
	last := ""
	for n := 1; ; n++ {
		inA, inB := a.Scan(), b.Scan()
		switch {
		case !inA && !inB:
			return "the traces are equal: whatever differed did not differ when both runs were recorded; try again with go test -count 10"
		case a.Text() != b.Text() || inA != inB:
			return fmt.Sprintf("  line %d is the first that differs (hash with the event itself, time, sequence and cause, component, what):\n    %s\n    %s\n"+
				"  the runs came apart while this was handled, which both still have:\n    %s", n, lineOr(inA, a.Text()), lineOr(inB, b.Text()), last)
		}
		last = a.Text()
	}
}

func lineOr(in bool, line string) string {
	if !in {
		return "(the run has ended)"
	}
	return line
}

// record runs a scenario and writes a line for each event into a file, with the
// running hash, so that even an event whose text is the same in both runs is found;
// the last line is the final hash.
func record(scn *scenarios.Scenario, seed uint64, file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	judge, err := check.New(scn)
	if err != nil {
		return err
	}
	w, err := world.New(scn, seed)
	if err != nil {
		return err
	}
	judge.Watch(w.Store())
	r := &hashed{eng: w.Engine(), out: bufio.NewWriter(f)}
	w.Engine().Record(r)
	err = guarded(w, &observer{Judge: judge, w: w})
	fmt.Fprintf(r.out, "\n%016x end", w.Engine().Hash())
	if err != nil {
		fmt.Fprintf(r.out, " %s", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	fmt.Fprintln(r.out)
	return r.out.Flush()
}

// hashed is a recorder that writes the running hash beside each event.
type hashed struct {
	eng *sim.Engine
	out *bufio.Writer
}

func (r *hashed) Begin(l trace.Line) {
	fmt.Fprintf(r.out, "\n%016x %v %d<-%d %s", r.eng.Hash(), l.Time, l.Seq, l.Cause, l.Component)
}

func (r *hashed) Describe(what, object, detail string) {
	fmt.Fprintf(r.out, ": %s %s %s", what, object, strings.ReplaceAll(detail, "\n", " "))
}
