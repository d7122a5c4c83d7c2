package real

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// scenarioArgs run a scenario of scenarios/lab in a lab, from the module's folder.
func scenarioArgs(file string, more ...string) []string {
	args := []string{"run", filepath.Join("scenarios", "lab", file), "--world", "lab", "--progress", "none"}
	for _, i := range built.images {
		args = append(args, "--images", i)
	}
	return append(args, more...)
}

func inRoot(t testing.TB, args ...string) result {
	t.Helper()
	// The scenario is found as people name it.
	wd, err := filepath.Abs(root)
	require.NoError(t, err)
	return call(t, "", "/bin/sh", append([]string{"-c", `cd "$0" && exec "$@"`, wd, built.seatrial}, args...)...)
}

var (
	hashed  = regexp.MustCompile(`hash=[0-9a-f]{16}`)
	verdict = regexp.MustCompile(`(?m)^PASS .*$`)
)

// Each scenario of scenarios/lab is a test, not a part of one, as parts begin when all
// tests have: these take longest.
func TestScenarioGuestbook(t *testing.T) { inBothWorlds(t, "guestbook.yaml") }
func TestScenarioNodeCrash(t *testing.T) { inBothWorlds(t, "node-crash.yaml") }
func TestScenarioCut(t *testing.T)       { inBothWorlds(t, "cut.yaml") }

func TestEveryScenarioIsPlayed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "scenarios", "lab", "*.yaml"))
	require.NoError(t, err)
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	require.ElementsMatch(t, []string{"guestbook.yaml", "node-crash.yaml", "cut.yaml"}, files, "add a test to this file")
}

// inBothWorlds runs the same file in both worlds: the same checks hold.
func inBothWorlds(t *testing.T, file string) {
	need(t)
	t.Parallel()
	r := inRoot(t, "run", filepath.Join("scenarios", "lab", file), "--progress", "none")
	require.Zero(t, r.code, "simulated: %s", r)
	require.Regexp(t, hashed, verdict.FindString(r.out))

	out, junit := filepath.Join(t.TempDir(), "out"), filepath.Join(t.TempDir(), "junit.xml")
	r = inRoot(t, scenarioArgs(file, "--out", out, "--junit", junit)...)
	require.Zero(t, r.code, "in the lab: %s", r)
	require.NotRegexp(t, hashed, r.out, "no two real runs are the same")
	require.Regexp(t, verdict, r.out)
	t.Log(verdict.FindString(r.out))
	wellFormed(t, out, junit)
}

// wellFormed reads what a run has written.
func wellFormed(t *testing.T, out, junit string) {
	text := func(file string) []byte {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotEmpty(t, b, file)
		return b
	}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(strings.NewReader(string(text(filepath.Join(out, "trace.jsonl"))))); lines.Scan(); {
		var line map[string]any
		require.NoError(t, json.Unmarshal(lines.Bytes(), &line), lines.Text())
		for _, word := range []string{"scheduled", "Started", "create", "apply"} {
			if strings.Contains(strings.ToLower(lines.Text()), strings.ToLower(word)) {
				seen[word] = true
			}
		}
	}
	require.Len(t, seen, 4, "what everybody did is in the trace: %v", seen)
	require.Contains(t, string(text(filepath.Join(out, "report.html"))), "</html>")
	var trace any
	require.NoError(t, json.Unmarshal(text(filepath.Join(out, "trace.perfetto.json")), &trace))
	for _, doc := range strings.Split(string(text(filepath.Join(out, "state.yaml"))), "\n---\n") {
		var o map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(doc), &o), doc)
	}
	var suite struct {
		XMLName xml.Name
		Suites  []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
		} `xml:"testsuite"`
	}
	for _, f := range []string{junit, filepath.Join(out, "junit.xml")} {
		require.NoError(t, xml.Unmarshal(text(f), &suite))
		require.Equal(t, "testsuites", suite.XMLName.Local)
		require.NotZero(t, suite.Suites[0].Tests)
		require.Zero(t, suite.Suites[0].Failures)
	}
}

const oneNode = `
apiVersion: seatrial.dev/v1alpha1
kind: Scenario
metadata: {name: small}
spec:
  seed: 1
  duration: 2s
  cluster:
    nodeGroups: [{name: worker, count: COUNT, capacity: {cpu: "2", memory: 2Gi, pods: "110"}}]
  timeline:
  - {at: 1s, STEP}
  checks:
  - {name: nobody is there, atEnd: "nodes.size() == 0"}
`

// scenario writes one of a node and a step.
func scenario(t *testing.T, count, step string) string {
	file := filepath.Join(t.TempDir(), "small.yaml")
	text := strings.NewReplacer("COUNT", count, "STEP", step).Replace(oneNode)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	return file
}

// TestScenarioFails tells which check did, by the exit status too.
func TestScenarioFails(t *testing.T) {
	need(t)
	t.Parallel()
	r := call(t, "", built.seatrial, "run", scenario(t, "1", "freeze: {node: worker-0}"), "--world", "lab", "--progress", "none")
	require.Equal(t, 1, r.code, "%s", r)
	require.Contains(t, r.out, "nobody is there")
	require.Regexp(t, `(?m)^FAIL `, r.out)
}

// TestScenarioIsRefused before anything is made, where a lab cannot do what it asks.
func TestScenarioIsRefused(t *testing.T) {
	need(t)
	t.Parallel()
	tmp := t.TempDir()
	refused := func(file, want string) {
		t.Helper()
		r := call(t, "", "/usr/bin/env", "TMPDIR="+tmp, built.seatrial, "run", file, "--world", "lab", "--progress", "none")
		require.Equal(t, 2, r.code, "%s", r)
		require.Contains(t, r.err, want)
		left, err := os.ReadDir(tmp)
		require.NoError(t, err)
		require.Empty(t, left, "nothing is made for it")
	}
	refused(scenario(t, "1", "cut: {from: [worker-0], to: [registry]}"), `the lab has no host "registry"`)
	refused(scenario(t, "100", "freeze: {node: worker-0}"), "100 nodes; a lab has at most 30")
	refused(scenario(t, "1", "request: {verb: delete, object: pod/default/x}"), "it can be repeated there only (--world sim)")
	refused(scenario(t, "1", "sing: {node: worker-0}"), "sing")
	refused(filepath.Join(tmp, "nothing.yaml"), "nothing.yaml")
}

// TestNotRoot is told so, and nothing is made.
func TestNotRoot(t *testing.T) {
	need(t)
	t.Parallel()
	dir, err := os.MkdirTemp("", "seatrial-nobody-") // t.TempDir() is root's alone
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o777))
	program := filepath.Join(dir, "seatrial")
	require.NoError(t, os.Link(built.seatrial, program))
	for _, f := range []string{"seatrial-runtime"} {
		require.NoError(t, os.Link(filepath.Join(filepath.Dir(built.seatrial), f), filepath.Join(dir, f)))
	}
	file := filepath.Join(dir, "small.yaml")
	text, err := os.ReadFile(scenario(t, "1", "freeze: {node: worker-0}"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
	for _, c := range []struct {
		want string
		args []string
	}{
		{"needs root", []string{"run", file, "--world", "lab"}},
		{"needs root", []string{"gap", file}},
		{"root", []string{"lab", "up", "--dir", filepath.Join(dir, "lab"), "--name", "nobody", "--subnet", "172.29.255.0/24"}},
	} {
		cmd := exec.Command(program, c.args...)
		cmd.Dir = dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		said, err := cmd.CombinedOutput()
		require.Error(t, err)
		require.Equal(t, 2, cmd.ProcessState.ExitCode(), "%v: %s", c.args, said)
		require.Contains(t, string(said), c.want)
	}
	_, err = os.Stat(filepath.Join(dir, "lab"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
