package apiserver

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
)

// What a patch costs may grow with the product of its own size and the object's. Small
// ones are worked out on the cluster's goroutine, where nothing can come between; all
// others on the request's own, so that the cluster has not to wait.
const (
	cheapBodyBytes   = 8 << 10
	cheapObjectBytes = 32 << 10
	// changeTries is how often a change is worked out that finds the object changed.
	changeTries = 20
)

// change is a write that is worked out of the object as it is.
type change struct {
	// find reads the object, on the cluster's goroutine.
	find func(*api.API) (kinds.Object, error)
	// work gives what is to be written; it may be called again, for another state.
	work func(live kinds.Object) (kinds.Object, error)
	// write writes it, on the cluster's goroutine; live is what it was worked out of.
	write func(now time.Time, a *api.API, live, o kinds.Object) (kinds.Object, error)
}

// change carries one out and answers the object as it is stored; body is the length of
// what the client has sent.
func (c *call) change(body int, x change) (stored kinds.Object, err error) {
	var live kinds.Object // of which it is to be worked out here
	for range changeTries {
		var o kinds.Object
		if live != nil {
			if o, err = c.workOut(x, live); err != nil {
				return nil, err
			}
		}
		done := false
		derr := c.do(func(now time.Time, a *api.API) {
			was := live
			if live, err = x.find(a); err != nil {
				return
			}
			if o == nil || was.GetResourceVersion() != live.GetResourceVersion() {
				if body > cheapBodyBytes || kinds.Size(live) > cheapObjectBytes {
					return
				}
				if o, err = x.work(live); err != nil {
					return
				}
			}
			done = true
			stored, err = x.write(now, a, live, o)
		})
		if err := firstOf(derr, err); err != nil || done {
			return stored, err
		}
	}
	return nil, apierrors.NewTooManyRequests("the object changes faster than the patch is worked out, please try again later.", 1)
}

// workOut does the work here, when it has its turn: few at a time, as each may have a
// processor for minutes, and the cluster needs one.
func (c *call) workOut(x change, live kinds.Object) (kinds.Object, error) {
	select {
	case c.s.costly <- struct{}{}:
		defer func() { <-c.s.costly }()
		return x.work(live)
	case <-c.r.Context().Done():
		return nil, apierrors.NewTooManyRequests("too many large patches, please try again later.", 1)
	}
}
