package scenarios

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestImageMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, image string
		want           bool
	}{
		{"web:1", "web:1", true},
		{"web", "web:1", true},
		{"web:1", "web", false},
		{"demo/web:*", "demo/web:2", true},
		{"demo/web:*", "demo/website:2", false},
		{"*/web", "registry:5000/shop/web:1", true},
		{"*/web", "web:1", true},
		{"*", "anything", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"registry:5000/web", "registry:5000/web:1", false}, // a pattern with a colon means the tag, too
	} {
		i := Image{Match: c.pattern}
		require.Equal(t, c.want, i.Matches(c.image), "%s matches %s", c.pattern, c.image)
	}
}

func TestBehaviour(t *testing.T) {
	s := &Scenario{Images: []Image{{Match: "demo/*", ExitCode: 1}, {Match: "demo/web:*", ExitCode: 2}}}
	require.EqualValues(t, 1, s.Behaviour("demo/web:1").ExitCode, "the first match wins")
	require.Equal(t, UnknownImage(), s.Behaviour("other"))
}
