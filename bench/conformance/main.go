package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// repository is the root of Seatrial, seen from here.
const repository = "../.."

type settings struct {
	focus string
	all   bool
	write bool
	nodes int
	procs int
	work  string // an absolute path
}

func main() {
	s := settings{}
	flag.StringVar(&s.focus, "focus", "", "run only tests whose names match this regular expression")
	flag.BoolVar(&s.all, "all", false, "run what is known to be missing, too")
	flag.BoolVar(&s.write, "write", false, "write RESULT.md")
	flag.IntVar(&s.nodes, "nodes", 3, "nodes of the lab")
	flag.IntVar(&s.procs, "procs", 12, "tests at a time: they mostly wait")
	flag.StringVar(&s.work, "work", filepath.Join(repository, "out", "conformance"), "folder for what is built, and for logs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &s); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s *settings) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unknown argument %q", flag.Arg(0))
	}
	if os.Geteuid() != 0 {
		return errors.New("a lab needs root: run it by sudo")
	}
	var err error
	if s.work, err = filepath.Abs(s.work); err != nil {
		return err
	}
	missing, err := readMissing("missing.yaml")
	if err != nil {
		return err
	}
	if err := build(ctx, s.work); err != nil {
		return err
	}
	results, err := runSuite(ctx, s, missing)
	if err != nil {
		return err
	}
	return conclude(s, missing, results)
}

// runSuite makes a lab, lets the tests at it, and takes it down.
func runSuite(ctx context.Context, s *settings, missing []gap) (_ []result, err error) {
	lab, kubeconfig, report := filepath.Join(s.work, "lab"), filepath.Join(s.work, "kubeconfig"), filepath.Join(s.work, "report")
	seatrial, err := filepath.Abs(filepath.Join(repository, "bin", "seatrial"))
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(report); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(report, 0o755); err != nil {
		return nil, err
	}
	if err := command(ctx, seatrial, "lab", "up", "--name", "conf", "--dir", lab, "--subnet", "172.30.90.0/24",
		"--nodes", strconv.Itoa(s.nodes), "--images", filepath.Join(s.work, "images"), "--kubeconfig", kubeconfig).Run(); err != nil {
		return nil, fmt.Errorf("lab up: %w", err)
	}
	defer func() {
		down := command(context.WithoutCancel(ctx), seatrial, "lab", "down", "--dir", lab)
		err = errors.Join(err, down.Run())
	}()
	log, err := os.Create(filepath.Join(s.work, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	fmt.Fprintf(os.Stderr, "running the tests; their log is %s\n", log.Name())
	tests := command(ctx, filepath.Join(s.work, "ginkgo"), ginkgoArgs(s, missing, kubeconfig, report)...)
	tests.Dir = s.work
	tests.Stdout, tests.Stderr = log, log
	path, err := filepath.Abs(filepath.Join(repository, "bin"))
	if err != nil {
		return nil, err
	}
	tests.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+path+":"+os.Getenv("PATH"))
	if err := tests.Run(); err != nil {
		if ended := (*exec.ExitError)(nil); !errors.As(err, &ended) || ctx.Err() != nil {
			return nil, err
		}
	}
	return readReport(filepath.Join(report, "junit_01.xml"))
}

func ginkgoArgs(s *settings, missing []gap, kubeconfig, report string) []string {
	args := []string{"--procs", strconv.Itoa(s.procs), "--no-color", "--timeout", "2h", "--silence-skips", "--poll-progress-after", "0"}
	args = append(args, "--label-filter", "Conformance")
	if s.focus != "" {
		args = append(args, "--focus", s.focus)
	}
	if !s.all {
		var skip []string
		for _, g := range missing {
			skip = append(skip, g.Match)
		}
		args = append(args, "--skip", strings.Join(skip, "|"))
	}
	return append(args, "./e2e.test", "--", "--kubeconfig", kubeconfig, "--provider", "skeleton", "--num-nodes", strconv.Itoa(s.nodes),
		"--report-dir", report, "--disable-log-dump")
}

// command runs in the terminal of this one; Ctrl-C asks it to end.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, name, args...)
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	return c
}
