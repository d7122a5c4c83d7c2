package cgroup

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHierarchies(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"v2":     {`30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw`, "/sys/fs/cgroup"},
		"hybrid": {"30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 23 0:27 / /sys/fs/cgroup/unified rw shared:1 - cgroup2 cgroup2 rw\n32 23 0:28 / /proc rw - proc proc rw", "/sys/fs/cgroup/cpu /sys/fs/cgroup/unified"},
		"nested": {"30 23 0:26 /docker/x /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n31 23 0:26 / /whole rw - cgroup cgroup rw,cpu\n31 23 0:26 /y /again rw - cgroup cgroup rw,cpu", "/whole"},
		"broken": {"nonsense\n - \n1 2 3 4 - cgroup", ""},
	} {
		got, err := hierarchies(strings.NewReader(c.in))
		require.NoError(t, err)
		require.Equal(t, c.want, strings.Join(got, " "), name)
	}
}

func TestCheck(t *testing.T) {
	require.NoError(t, Check("/seatrial/host1"))
	for _, path := range []string{"", "/", "relative", "/a/../..", "/a/", "//a", "/a\nb"} {
		require.Error(t, Check(path), path)
		_, err := Remove(context.Background(), path)
		require.Error(t, err, path)
		require.Error(t, Kill(path), path)
	}
}
