package standin

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/scenariotest"
	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// TestImages plays testdata/images: the stand-ins that a scenario's spec needs.
func TestImages(t *testing.T) {
	datadriven.RunTest(t, "testdata/images", func(t *testing.T, d *datadriven.TestData) string {
		return describe(t, Images(scenariotest.Spec(t, d.Input)))
	})
}

func describe(t *testing.T, list []Image) string {
	var b strings.Builder
	for _, im := range list {
		text, err := im.Behaviour.Text()
		require.NoError(t, err)
		back, err := behaviour.Parse(text)
		require.NoError(t, err)
		require.Equal(t, im.Behaviour, *back)
		fmt.Fprintln(&b, text)
		if len(im.Programs) > 0 {
			fmt.Fprintln(&b, "  programs", im.Programs)
		}
		if im.NonRoot {
			fmt.Fprintln(&b, "  not root")
		}
		if im.Broken {
			fmt.Fprintln(&b, "  broken")
		}
	}
	return b.String()
}

// TestPrograms tries paths that lead elsewhere.
func TestPrograms(t *testing.T) {
	for _, c := range []struct{ command, dir, want string }{
		{"sh", "", "/bin/sh"},
		{"/usr//local/./bin/x", "", "/usr/local/bin/x"},
		{"./run", "/app", "/app/run"},
		{"bin/run", "", "/bin/run"},
		{"run.sh", "/app", "/bin/run.sh"},
		{"", "", ""},
		{"/", "", ""},
		{"/bin/..", "", ""},
		{"../../etc/x", "/app", ""},
		{"/a/../../b", "", ""},
		{"./x", "app", ""},
		{"/proc/self/exe", "", ""},
		{"/sys", "", ""},
		{"/dev/null", "", ""},
		{"/bin/.wh.sh", "", ""},
		{"/bin/a\nb", "", ""},
		{"$(PROGRAM)", "", ""},
		{"/" + strings.Repeat("a", 300), "", ""},
	} {
		got, ok := program(c.command, c.dir)
		require.Equal(t, c.want, got, "%q in %q", c.command, c.dir)
		require.Equal(t, c.want != "", ok)
	}
}

// TestShipped works out the stand-ins of every scenario of the repository.
func TestShipped(t *testing.T) {
	files, err := filepath.Glob("../*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		scn, err := scenarios.Read(f)
		require.NoError(t, err)
		describe(t, Images(scn))
	}
}
