package rollingupdate

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		name     string
		s        sizes
		up, down int32
	}{
		{"the first step is one up", sizes{old: 3, new: 0, desired: 3}, 1, 3},
		{"a new pod that is not ready frees none", sizes{old: 3, new: 1, desired: 3}, 1, 3},
		{"a new pod that is ready frees one", sizes{old: 3, new: 1, desired: 3, newAvailable: 1}, 1, 2},
		{"then the next", sizes{old: 2, new: 1, desired: 3, newAvailable: 1}, 2, 2},
		{"all new ones ready free all old ones", sizes{old: 5, new: 3, desired: 3, newAvailable: 3}, 3, 0},
		{"nothing old lets the new grow at once", sizes{old: 0, new: 1, desired: 4}, 4, 0},
		{"more wanted than before", sizes{old: 1, new: 0, desired: 4}, 4, 1},
		{"fewer wanted than before", sizes{old: 5, new: 0, desired: 2}, 0, 2},
		{"none wanted", sizes{old: 2, new: 0, desired: 0}, 0, 0},
		{"done", sizes{old: 0, new: 3, desired: 3, newAvailable: 3}, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.up, c.s.up(), "up")
			require.Equal(t, c.down, c.s.down(), "down")
		})
	}
}
