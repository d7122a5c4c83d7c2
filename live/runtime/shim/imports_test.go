package shim_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSlim keeps the program small, as all that is linked is initialised at each
// start of a container, and the agent free of the container library.
func TestSlim(t *testing.T) {
	for _, c := range []struct {
		pkg     string
		bans    []string
		instead string
	}{
		{
			"seatrial.dev/seatrial/cmd/seatrial-runtime",
			[]string{"k8s.io/", "go.etcd.io/", "sigs.k8s.io/", "google.golang.org/", "seatrial.dev/seatrial/cluster", "github.com/spf13/", "net/http"},
			"it is executed for each container: take plain values from the agent",
		},
		{
			"seatrial.dev/seatrial/live/runtime",
			[]string{"github.com/opencontainers/", "k8s.io/", "go.etcd.io/"},
			"the agent asks the shim, by package wire",
		},
	} {
		out, err := exec.Command("go", "list", "-deps", c.pkg).CombinedOutput()
		require.NoError(t, err, string(out))
		for dep := range strings.Lines(string(out)) {
			for _, ban := range c.bans {
				if strings.HasPrefix(dep, ban) {
					t.Errorf("%s must not link %s: %s", c.pkg, strings.TrimSpace(dep), c.instead)
				}
			}
		}
	}
}
