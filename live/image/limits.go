package image

import (
	"fmt"
	"time"
)

// Limits bound what an image may cost. A field that is zero has the default.
type Limits struct {
	LayersMax      int   // layers of an image
	LayerBytesMax  int64 // content of one layer, unpacked
	LayerEntries   int   // entries of one layer
	ManifestBytes  int64 // a manifest or an index
	ConfigBytes    int64 // an image's configuration
	PathBytesMax   int   // the name of an entry, or what a link points to
	FolderBytes    int   // the names of one layer's folders together, which are remembered to its end
	XattrsMax      int   // extended attributes of one entry
	ArchiveEntries int   // entries of an archive of images
	// PullStall is how long a registry may send nothing, in the middle of an answer or
	// before it.
	PullStall time.Duration
}

// DefaultLimits hold what people run: the largest public images have layers of about
// ten GiB and some hundred thousand files. Docker stops at 127 layers too.
func DefaultLimits() Limits {
	return Limits{
		LayersMax:      127,
		LayerBytesMax:  32 << 30,
		LayerEntries:   1 << 20,
		ManifestBytes:  4 << 20,
		ConfigBytes:    8 << 20,
		PathBytesMax:   4095,
		FolderBytes:    64 << 20,
		XattrsMax:      64,
		ArchiveEntries: 1 << 16,
		PullStall:      time.Minute,
	}
}

func (l Limits) withDefaults() Limits {
	d := DefaultLimits()
	setInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setInt64 := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	setInt(&l.LayersMax, d.LayersMax)
	setInt64(&l.LayerBytesMax, d.LayerBytesMax)
	setInt(&l.LayerEntries, d.LayerEntries)
	setInt64(&l.ManifestBytes, d.ManifestBytes)
	setInt64(&l.ConfigBytes, d.ConfigBytes)
	setInt(&l.PathBytesMax, d.PathBytesMax)
	setInt(&l.FolderBytes, d.FolderBytes)
	setInt(&l.XattrsMax, d.XattrsMax)
	setInt(&l.ArchiveEntries, d.ArchiveEntries)
	if l.PullStall == 0 {
		l.PullStall = d.PullStall
	}
	return l
}

// LimitError says which limit was met.
type LimitError struct {
	Limit string // the field of Limits
	Max   int64
	What  string // what had more
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s: at most %d are allowed (limit %s)", e.What, e.Max, e.Limit)
}
