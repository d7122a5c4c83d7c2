package nodeagent

import (
	"fmt"
	"time"
)

// Config is how an Agent behaves. Defaults gives Kubernetes' values.
type Config struct {
	// CrashBackoff is the first wait before a container that crashed again is
	// restarted; it doubles up to CrashBackoffMax and starts anew after a run of
	// twice CrashBackoffMax. (Kubernetes: 10 s and 300 s.)
	CrashBackoff, CrashBackoffMax time.Duration

	// ImageBackoff is the same for failed image pulls. (10 s and 300 s.)
	ImageBackoff, ImageBackoffMax time.Duration

	// Relist is how long a failure is shown as such ("ErrImagePull", a terminated
	// container) before its back-off is shown in its place. The kubelet lists its
	// containers anew at this period. (1 s.)
	Relist time.Duration

	// SyncRetry is the wait before a failed sandbox, or a container that could not
	// be created, is tried again. (10 s.)
	SyncRetry time.Duration

	// NetworkRetry is the wait before a sandbox is tried again that failed since
	// the node's pod network is not ready. (1 s.)
	NetworkRetry time.Duration

	// MountRetry is the first wait before a sandbox is tried again that failed since
	// a volume is not ready; it doubles up to SyncRetry. (500 ms; there up to 2 min.)
	MountRetry time.Duration

	// Resync is the period at which a pod is looked at without a cause; here, the
	// wait before an image whose name is invalid is looked at again. (60 s.)
	Resync time.Duration

	// GraceMinSeconds is the least time between TERM and KILL. (2 s.)
	GraceMinSeconds int64

	// WriteRetry is the wait before a failed write is sent again, with the latest
	// status. (5 s.)
	WriteRetry time.Duration

	// StatusResync is how long the API may show a status other than the one
	// written before the agent writes it again. (10 s.)
	StatusResync time.Duration

	// NodeStatusUpdate is the least time between two writes of the node's status.
	// (10 s.)
	NodeStatusUpdate time.Duration

	// PressureTransition is how long a condition of pressure stays after the host was
	// last short of the thing. (5 min.)
	PressureTransition time.Duration

	// RegisterRetry is the wait after a failed registration; it doubles up to
	// RegisterRetryMax. (200 ms and 7 s.)
	RegisterRetry, RegisterRetryMax time.Duration

	// NodeImagesMax limits the images listed in the node's status. (50.)
	NodeImagesMax int

	// ParallelPullsMax limits the image pulls under way at once; 0 is no limit.
	// (1: Kubernetes' serializeImagePulls.)
	ParallelPullsMax int
}

// Defaults returns the values of KubeletConfiguration v1beta1 and, where that has
// none, the constants of the kubelet.
func Defaults() Config {
	return Config{
		CrashBackoff: 10 * time.Second, CrashBackoffMax: 300 * time.Second,
		ImageBackoff: 10 * time.Second, ImageBackoffMax: 300 * time.Second,
		Relist:             time.Second,
		SyncRetry:          10 * time.Second,
		NetworkRetry:       time.Second,
		MountRetry:         500 * time.Millisecond,
		Resync:             time.Minute,
		GraceMinSeconds:    2,
		WriteRetry:         5 * time.Second,
		StatusResync:       10 * time.Second,
		NodeStatusUpdate:   10 * time.Second,
		PressureTransition: 5 * time.Minute,
		RegisterRetry:      200 * time.Millisecond, RegisterRetryMax: 7 * time.Second,
		NodeImagesMax:    50,
		ParallelPullsMax: 1,
	}
}

// validate panics on a Config that would make the agent spin or stall: it comes
// from a program, not from a user.
func (c Config) validate() {
	for _, d := range []time.Duration{c.CrashBackoff, c.ImageBackoff, c.Relist, c.SyncRetry, c.NetworkRetry, c.MountRetry, c.Resync, c.WriteRetry, c.StatusResync, c.NodeStatusUpdate, c.RegisterRetry} {
		if d <= 0 {
			panic(fmt.Sprintf("nodeagent: a duration of %+v is not above zero", c))
		}
	}
	if c.CrashBackoffMax < c.CrashBackoff || c.ImageBackoffMax < c.ImageBackoff || c.RegisterRetryMax < c.RegisterRetry {
		panic(fmt.Sprintf("nodeagent: a maximum of %+v is below its first value", c))
	}
	if c.GraceMinSeconds < 0 || c.NodeImagesMax < 0 || c.PressureTransition < 0 || c.ParallelPullsMax < 0 {
		panic(fmt.Sprintf("nodeagent: a limit of %+v is negative", c))
	}
}

// backoff is one doubling wait. Its rules are those of client-go's
// flowcontrol.Backoff: it starts anew when the last event is more than twice the
// maximum after the last doubling.
type backoff struct {
	delay   time.Duration
	updated time.Time
}

func (b *backoff) expired(since time.Time, longest time.Duration) bool {
	return b.delay == 0 || since.Sub(b.updated) > 2*longest
}

// until returns when the back-off after an event at since ends, or the zero time
// if there is none.
func (b *backoff) until(now, since time.Time, longest time.Duration) time.Time {
	if b.expired(since, longest) || now.Sub(since) >= b.delay {
		return time.Time{}
	}
	return since.Add(b.delay)
}

// next doubles the back-off for an event at since.
func (b *backoff) next(now, since time.Time, first, longest time.Duration) {
	if b.expired(since, longest) {
		b.delay = first
	} else {
		b.delay = min(2*b.delay, longest)
	}
	b.updated = now
}
