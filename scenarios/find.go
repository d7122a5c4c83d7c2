package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Find lists the scenario files that the paths name: a file is taken as it is, a
// folder is walked for *.yaml and *.yml files of kind Scenario, in the order of
// their names. A folder without one is an error.
func Find(paths []string) ([]string, error) {
	var out []string
	var wrong []error
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s: %s", p, readProblem(err)))
		case !info.IsDir():
			out = append(out, p)
		default:
			found, err := walk(p)
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %w", p, err))
			} else if len(found) == 0 {
				wrong = append(wrong, fmt.Errorf("%s: there is no scenario in this folder (no *.yaml of kind %s)", p, FileKind))
			}
			out = append(out, found...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(wrong...)
}

func walk(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(path); d.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil && IsScenario(data) {
			out = append(out, path)
		}
		return err
	})
	return out, err
}
