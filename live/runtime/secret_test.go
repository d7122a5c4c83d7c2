package runtime_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"seatrial.dev/seatrial/live/runtime"
)

// TestSecretInNoError: an error goes into events, which more people read than secrets.
func TestSecretInNoError(t *testing.T) {
	spec := runtime.ContainerSpec{ID: runtime.ID{Pod: "uid", Name: "c"}, Rootfs: "/r", Args: []string{"sh"}, Env: []string{"PASSWORD=hunter2\x00"}}
	err := spec.Validate()
	require.ErrorContains(t, err, `env "PASSWORD": want NAME=value, without a zero byte`)
	require.NotContains(t, err.Error(), "hunter2")
	spec.Env, spec.Args = nil, []string{"sh", "hunter2\x00"}
	err = spec.Validate()
	require.ErrorContains(t, err, "args[1]: want no zero byte")
	require.NotContains(t, err.Error(), "hunter2")
}
