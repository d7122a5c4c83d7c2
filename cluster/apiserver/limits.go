package apiserver

import (
	"sync"
	"time"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
)

// Limits bound what a client can ask of a server.
type Limits struct {
	BodyBytesMax    int64         // of a request's body: 413 beyond
	BodyDepthMax    int           // objects and lists inside each other in a body: 400 beyond
	ListItemsMax    int           // in one list of an object: 422 beyond
	HeaderBytesMax  int           // of a request's headers: 431 beyond
	HeaderTimeout   time.Duration // for the headers to arrive
	IdleTimeout     time.Duration // of a connection without a request
	BodyTimeout     time.Duration // for a body to arrive: 400 beyond
	WriteTimeout    time.Duration // for the client to take an answer, or a batch of a watch
	RequestTimeout  time.Duration // of a request that is not a watch: 504 beyond
	InFlightMax     int           // requests at a time, watches, logs and streams apart: 429 beyond
	WatchersMax     int64         // watches at a time: 429 beyond
	StreamsMax      int64         // execs, attaches, port-forwards and proxies at a time: 429 beyond
	WatchWindow     int           // writes of a kind that a watcher may be behind before it is closed
	WatchBytes      int64         // the same, as the size of the objects written
	WatchTimeoutMin time.Duration // of a watch that asks for none; up to twice as long
	BookmarkEvery   time.Duration // of real time, where a watch asks for bookmarks
	FlushEvery      time.Duration // a watch that has just written waits this long for more
	PageMax         int64         // objects in a page of a list; a larger limit is cut
	CostlyMax       int           // large patches that are worked out at a time: others wait, 429 at their timeout
	PatchOpsMax     int           // operations of a JSON patch: 413 beyond
	SelectorMax     int           // bytes of a label or field selector: 400 beyond
}

// DefaultLimits are Kubernetes' own where it has them.
func DefaultLimits() Limits {
	return Limits{
		BodyBytesMax:    3 << 20,
		BodyDepthMax:    512,
		ListItemsMax:    5000,
		HeaderBytesMax:  1 << 20,
		HeaderTimeout:   32 * time.Second,
		IdleTimeout:     90 * time.Second,
		BodyTimeout:     time.Minute,
		WriteTimeout:    time.Minute,
		RequestTimeout:  time.Minute,
		InFlightMax:     600,
		WatchersMax:     20_000,
		StreamsMax:      4_000,
		WatchWindow:     1 << 15,
		WatchBytes:      32 << 20,
		WatchTimeoutMin: 30 * time.Minute,
		BookmarkEvery:   time.Minute,
		FlushEvery:      10 * time.Millisecond,
		PageMax:         500_000,
		CostlyMax:       2,
		PatchOpsMax:     10_000,
		SelectorMax:     64 << 10,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	orDefault(&l.BodyBytesMax, d.BodyBytesMax)
	orDefault(&l.BodyDepthMax, d.BodyDepthMax)
	orDefault(&l.ListItemsMax, d.ListItemsMax)
	orDefault(&l.HeaderBytesMax, d.HeaderBytesMax)
	orDefault(&l.HeaderTimeout, d.HeaderTimeout)
	orDefault(&l.IdleTimeout, d.IdleTimeout)
	orDefault(&l.BodyTimeout, d.BodyTimeout)
	orDefault(&l.WriteTimeout, d.WriteTimeout)
	orDefault(&l.RequestTimeout, d.RequestTimeout)
	orDefault(&l.InFlightMax, d.InFlightMax)
	orDefault(&l.WatchersMax, d.WatchersMax)
	orDefault(&l.StreamsMax, d.StreamsMax)
	orDefault(&l.WatchWindow, d.WatchWindow)
	orDefault(&l.WatchBytes, d.WatchBytes)
	orDefault(&l.WatchTimeoutMin, d.WatchTimeoutMin)
	orDefault(&l.BookmarkEvery, d.BookmarkEvery)
	orDefault(&l.FlushEvery, d.FlushEvery)
	orDefault(&l.PageMax, d.PageMax)
	orDefault(&l.CostlyMax, d.CostlyMax)
	orDefault(&l.PatchOpsMax, d.PatchOpsMax)
	orDefault(&l.SelectorMax, d.SelectorMax)
	return l
}

func orDefault[T comparable](at *T, value T) {
	if *at == *new(T) {
		*at = value
	}
}

// patchCopyMax is how many bytes the copies of one JSON patch may add up to.
const patchCopyMax = 3 << 20

var patchLimit sync.Once

// limitPatches bounds what a JSON patch can grow to, which the library keeps in a
// variable for the process.
func limitPatches() { patchLimit.Do(func() { jsonpatch.AccumulatedCopySizeLimit = patchCopyMax }) }
