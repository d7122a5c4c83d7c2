package agent

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestThresholds(t *testing.T) {
	got, err := ParseThresholds("nodefs.available<256Mi,imagefs.available<1%")
	require.NoError(t, err)
	want := DefaultThresholds()
	want.NodeDisk, want.ImageDisk = Left{Amount: 256 << 20}, Left{Percent: 1}
	require.Equal(t, want, got)
	for text, problem := range map[string]string{
		"": "want SIGNAL<VALUE", "nodefs.available": "want SIGNAL<VALUE", "disk<10%": "want SIGNAL<VALUE",
		"nodefs.available<0%": "want 1% to 99%", "nodefs.available<x%": "want 1% to 99%", "memory.available<much": "want a quantity", "memory.available<-1": "want a quantity",
	} {
		_, err := ParseThresholds(text)
		require.ErrorContains(t, err, problem, text)
	}
	require.True(t, Left{Percent: 10}.short(9, 100))
	require.False(t, Left{Percent: 10}.short(10, 100))
	require.True(t, Left{Amount: 5}.short(4, 100))
	require.False(t, Left{Percent: 5}.short(0, 0), "what cannot be counted is not short")
}
