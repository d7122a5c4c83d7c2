package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// deadline is for one call of a program.
const deadline = time.Minute

// TestKubectl plays testdata/kubectl/*.txt, each in a folder of its own with a paused
// cluster of its own, that of cluster.yaml unless serve says otherwise, and a copy of
// testdata/files. Their commands:
//
//	serve FILE               serves the scenario of that file instead
//	file name=PATH           writes a file; its text is the input
//	kubectl [meanwhile=TIME [waits=N]] [edit=SED] [sorted]
//	                         runs kubectl; the input's first line is its arguments,
//	                         as a shell would split them, the rest its standard input.
//	                         With meanwhile, so much virtual time passes as soon as it
//	                         waits for something, or for N things at once. With edit,
//	                         its editor is sed with this script. With sorted, its
//	                         lines are sorted: it prints them in no order.
//	seatrial [meanwhile=TIME]
//	                         runs seatrial likewise
//	clock [quiet]            runs seatrial clock; the input is its arguments. With
//	                         quiet, what the clock shows is left out: it runs.
//
// Generated names and addresses are the same each time, but not after every change of
// a controller. Rewrite the transcripts with go test ./e2e -rewrite, and look at what
// has changed.
func TestKubectl(t *testing.T) {
	kubectl := find(t, "kubectl")
	require.NoError(t, os.Symlink(kubectl, filepath.Join(filepath.Dir(seatrial), "kubectl"))) // for seatrial kubectl
	play(t, "testdata/kubectl", map[string]string{"kubectl": kubectl, "seatrial": seatrial})
}

// TestHelm plays testdata/helm/*.txt, which have the command helm besides.
func TestHelm(t *testing.T) {
	play(t, "testdata/helm", map[string]string{"kubectl": find(t, "kubectl"), "helm": find(t, "helm"), "seatrial": seatrial})
}

func play(t *testing.T, dir string, programs map[string]string) {
	files, err := filepath.Glob(dir + "/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			p := &player{programs: programs, dir: t.TempDir()}
			require.NoError(t, os.CopyFS(p.dir, os.DirFS("testdata/files")))
			datadriven.RunTest(t, file, p.do)
		})
	}
}

// player plays one transcript.
type player struct {
	programs map[string]string
	dir      string
	server   *server
}

func (p *player) do(t *testing.T, d *datadriven.TestData) string {
	arg := func(name string) (s string) {
		d.MaybeScanArgs(t, name, &s)
		return s
	}
	switch d.Cmd {
	case "serve":
		p.server = serve(t, p.dir, d.CmdArgs[0].Key)
		return ""
	case "file":
		require.NoError(t, os.WriteFile(filepath.Join(p.dir, arg("name")), []byte(d.Input+"\n"), 0o644))
		return ""
	}
	if p.server == nil {
		p.server = serve(t, p.dir, "cluster.yaml")
	}
	line, stdin, _ := strings.Cut(d.Input, "\n")
	args, err := split(line)
	require.NoError(t, err, d.Pos)
	if d.Cmd == "clock" {
		res := p.call(t, seatrial, "", p.server.clock(args...), "")
		if d.HasArg("quiet") && res.code == 0 {
			return ""
		}
		return res.transcript()
	}
	program, ok := p.programs[d.Cmd]
	if !ok {
		t.Fatalf("%s: there is no command %s", d.Pos, d.Cmd)
	}
	waits := 1
	d.MaybeScanArgs(t, "waits", &waits)
	res := p.callMeanwhile(t, program, stdin, args, arg("edit"), arg("meanwhile"), waits)
	if d.HasArg("sorted") {
		res.out, res.err = sortLines(res.out), sortLines(res.err)
	}
	return res.transcript()
}

func sortLines(s string) string {
	return strings.Join(slices.Sorted(strings.Lines(s)), "")
}

// result is what a call of a program said and how it ended.
type result struct {
	out, err string
	code     int
}

// transcript shows standard output, standard error after a bar, and an exit status
// other than 0.
func (r result) transcript() string {
	var out strings.Builder
	out.WriteString(mask(r.out))
	if r.out != "" && !strings.HasSuffix(r.out, "\n") {
		out.WriteString("\n")
	}
	for line := range strings.Lines(mask(r.err)) {
		out.WriteString("| " + line)
	}
	if r.code != 0 {
		fmt.Fprintf(&out, "exit status %d\n", r.code)
	}
	return out.String()
}

// callMeanwhile calls a program and lets virtual time pass once it waits.
func (p *player) callMeanwhile(t *testing.T, program, stdin string, args []string, script, meanwhile string, waits int) result {
	if meanwhile == "" {
		return p.call(t, program, stdin, args, script)
	}
	r := newRelay(t, p.server.kubeconfig, waits)
	name := filepath.Base(program)
	flag := map[string]string{"kubectl": "--server", "helm": "--kube-apiserver", "seatrial": "--server"}[name]
	ended := make(chan result, 1)
	go func() { ended <- p.call(t, program, stdin, append(args, flag, r.url), script) }()
	select {
	case <-r.waiting:
	case res := <-ended:
		res.err += "(it did not wait)\n"
		return res
	}
	if res := p.call(t, seatrial, "", p.server.clock("step", meanwhile), ""); res.code != 0 {
		t.Errorf("step: %s", res.transcript())
	}
	return <-ended
}

func (p *player) call(t *testing.T, program, stdin string, args []string, script string) result {
	ctx, stop := context.WithTimeout(context.Background(), deadline)
	defer stop()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "TZ=UTC", "LC_ALL=C", "KUBECONFIG=" + p.server.kubeconfig, "EDITOR=sed -i " + script}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Errorf("%s %q: %v", program, args, err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s %q did not end within %v; standard error: %s", filepath.Base(program), args, deadline, &stderr)
	}
	out := strings.NewReplacer(p.server.url, "SERVER", p.dir, "DIR")
	return result{out.Replace(stdout.String()), out.Replace(stderr.String()), cmd.ProcessState.ExitCode()}
}

// split takes a line apart at spaces, except those in single or double quotes.
func split(line string) (args []string, err error) {
	var arg strings.Builder
	var quote rune
	started := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			arg.WriteRune(r)
		case r == '\'' || r == '"':
			quote, started = r, true
		case r == ' ':
			if started || arg.Len() > 0 {
				args = append(args, arg.String())
			}
			started = false
			arg.Reset()
		default:
			arg.WriteRune(r)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed: %s", line)
	}
	if started || arg.Len() > 0 {
		args = append(args, arg.String())
	}
	return args, nil
}

// masks hide what is not the same each time: the wall's clock, names of temporary
// files, and how much the simulator worked, which any change of a controller alters.
var masks = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`events=\d+ hash=[0-9a-f]{16}`), "events=... hash=..."},
	{regexp.MustCompile(`\b[2-9]\dy\b`), "AGE"}, // since start, by the wall's clock
	{regexp.MustCompile(`/tmp/(LIVE|MERGED)-\d+`), "$1"},
	{regexp.MustCompile(`(?m)^((---|\+\+\+) \S+)\t.*$`), "$1"},
	{regexp.MustCompile(`/tmp/kubectl-edit-\d+\.yaml`), "FILE"},
	{regexp.MustCompile(`(?m)^eyJ[\w.-]+$`), "TOKEN"},
	{regexp.MustCompile(`X509SHA256=[0-9a-f]{64}`), "X509SHA256=..."},
	// What a client says when it leaves a watch while something comes in.
	{regexp.MustCompile(`(?m)^.*"Unexpected error when reading response body" err="context canceled"\n`), ""},
	// What helm writes of the wall's clock, and the columns that get as wide as that.
	{regexp.MustCompile(`\b2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC *`), "TIME"},
	{regexp.MustCompile(`\tUPDATED +`), "\tUPDATED"},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d 2\d{3}\b`), "TIME"},
	{regexp.MustCompile(`(?m)^[EWI]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ `), ""},
}

func mask(s string) string {
	for _, m := range masks {
		s = m.pattern.ReplaceAllString(s, m.with)
	}
	return s
}
