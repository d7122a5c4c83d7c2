package playback

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/sched"
	"seatrial.dev/seatrial/sched/config"
)

// isFile says whether a policy's name is that of a configuration file.
func isFile(name string) bool {
	return slices.Contains([]string{".yaml", ".yml", ".json"}, strings.ToLower(filepath.Ext(name)))
}

// fromFile is the policy of a KubeSchedulerConfiguration (or an old policy file), taken as
// it stands: nothing is added to its filters and scores, and its seeds are its own. Its
// name is the file's, without the folder. warnings tell what in it has no effect.
func fromFile(path string) (p Policy, warnings []string, err error) {
	data, err := readConfig(path)
	if err != nil {
		return Policy{}, nil, err
	}
	cfg, warnings, err := config.Read(path, data)
	if err != nil {
		return Policy{}, nil, err
	}
	roots, err := kinds.ParseYAML(path, data)
	if err != nil {
		return Policy{}, nil, err
	}
	if err := cfg.Check(); err != nil {
		return Policy{}, nil, &kinds.InputError{File: path, Line: kinds.FindLine(roots[0], "extenders"), Field: "extenders", Problem: "extenders cannot be asked here, where time is virtual: want a configuration without any"}
	}
	return Policy{Name: filepath.Base(path), Config: func(w *Workload, _ uint64) (sched.Config, error) {
		if err := w.knows(path, roots[0], &cfg); err != nil {
			return sched.Config{}, err
		}
		own, _, err := config.Read(path, data) // runs go at the same time: to each its own
		return own, err
	}}, warnings, nil
}

func readConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &kinds.InputError{File: path, Problem: "cannot be opened: " + errnoOf(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, config.BytesMax+1)) // one more is too many, which config.Read says
	if err != nil {
		return nil, &kinds.InputError{File: path, Problem: "cannot be read: " + errnoOf(err)}
	}
	return data, nil
}

// errnoOf is an error of the file system without the path, which is told already.
func errnoOf(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}

// knows says whether a configuration has a profile for each of the workload's pods: else
// some would wait for ever, and the measures be of the others.
func (w *Workload) knows(path string, root *yaml.Node, cfg *sched.Config) error {
	names := make([]string, len(cfg.Profiles))
	for i := range cfg.Profiles {
		names[i] = cfg.Profiles[i].Name
	}
	for i := range w.Arrivals {
		pod := w.Arrivals[i].Pod
		want := pod.Spec.SchedulerName
		if want == "" {
			want = sched.DefaultProfile().Name
		}
		if !slices.Contains(names, want) {
			const field = "profiles"
			return &kinds.InputError{File: path, Line: kinds.FindLine(root, field), Field: field,
				Problem: fmt.Sprintf("want one with the schedulerName %s, by which the workload's pod %s goes; there are %s", want, pod.Name, strings.Join(names, ", "))}
		}
	}
	return nil
}
