package report

import (
	"bufio"
	"fmt"
	"os"

	"sigs.k8s.io/yaml"

	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// writeState writes every object as one List, as kubectl get -o yaml prints it.
func writeState(path string, state *store.Store) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	defer func() {
		if e := f.Close(); err == nil && e != nil {
			err = fmt.Errorf("write the state: %w", e)
		}
	}()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "apiVersion: v1\nkind: List\nitems:")
	for _, i := range kinds.All() {
		for o := range state.List(i.Kind, "") {
			if err := writeItem(w, o); err != nil {
				return fmt.Errorf("write the state: %s: %w", kinds.RefOf(o), err)
			}
		}
	}
	fmt.Fprintf(w, "metadata:\n  resourceVersion: %q\n", fmt.Sprint(state.RV()))
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
}

func writeItem(w *bufio.Writer, o kinds.Object) error {
	b, err := yaml.Marshal(kinds.WithType(o))
	if err != nil {
		return err
	}
	start := "- "
	for line := range lines(b) {
		w.WriteString(start)
		w.Write(line)
		w.WriteByte('\n')
		start = "  "
	}
	return nil
}

// lines splits text at its line ends.
func lines(b []byte) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := 0
			for n < len(b) && b[n] != '\n' {
				n++
			}
			if !yield(b[:n]) {
				return
			}
			b = b[min(n+1, len(b)):]
		}
	}
}
