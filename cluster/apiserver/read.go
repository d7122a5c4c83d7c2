package apiserver

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// get answers with one object.
func (c *call) get() error {
	var o kinds.Object
	var err error
	want, perr := versionWanted(c.query.Get("resourceVersion"))
	if perr != nil {
		return perr
	}
	derr := c.do(func(_ time.Time, a *api.API) {
		if err = notInFuture(want, a.Store().RV()); err == nil {
			o, err = a.Get(c.ref())
		}
	})
	if err := firstOf(derr, err); err != nil {
		return err
	}
	return c.answerObject(http.StatusOK, o)
}

// firstOf returns the first error there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func versionWanted(text string) (uint64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("resourceVersion: Invalid value: %q: must be a number", text))
	}
	return n, nil
}

// notInFuture refuses a version that is yet to come, as Kubernetes does after
// waiting for it.
func notInFuture(want, have uint64) error {
	if want <= have {
		return nil
	}
	err := apierrors.NewTimeoutError(fmt.Sprintf("Too large resource version: %d, current: %d", want, have), 1)
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: metav1.CauseTypeResourceVersionTooLarge, Message: "Too large resource version"}}
	return err
}

// page is what a list found.
type page struct {
	items     []kinds.Object
	rv        uint64
	next      string // the continue token, if there is more
	remaining int64  // how many more; -1: not known
}

func (c *call) list() error {
	o, err := c.listOptions()
	if err != nil {
		return err
	}
	var p page
	derr := c.do(func(_ time.Time, a *api.API) { p, err = c.collect(a.Store(), &o) })
	if err := firstOf(derr, err); err != nil {
		return err
	}
	if o.limit == 0 && !o.all() {
		kept := p.items[:0]
		for _, obj := range p.items {
			if o.matches(obj) {
				kept = append(kept, obj)
			}
		}
		p.items = kept
	}
	return c.answerList(&p)
}

// collect picks the objects of a list, on the cluster's goroutine. Without a limit
// the selectors are left to the caller's own.
func (c *call) collect(s *store.Store, o *listOptions) (page, error) {
	p := page{rv: s.RV(), remaining: -1}
	ns := ""
	if c.res.namespaced {
		ns = c.namespace
	}
	start := kinds.Key{Namespace: ns}
	at, err := o.exactly(s.RV())
	if err != nil {
		return p, err
	}
	if o.cont != nil {
		if start = o.cont.start(); ns != "" && start.Namespace != ns {
			return p, apierrors.NewBadRequest("continue key is not valid: it is of another namespace")
		}
	}
	next := func(yield func(kinds.Object) bool) { s.ListAfter(c.res.kind, ns, start)(yield) }
	if at != 0 && at != s.RV() {
		list, err := s.ListAt(c.res.kind, ns, start, at)
		if errors.Is(err, store.ErrTooOld) {
			if o.cont != nil {
				return p, o.cont.expired()
			}
			return p, expired(at, err)
		}
		p.rv = at
		next = func(yield func(kinds.Object) bool) {
			for _, obj := range list {
				if !yield(obj) {
					return
				}
			}
		}
	}
	c.fill(&p, o, next)
	return p, nil
}

// fill takes a page's objects from a walk.
func (c *call) fill(p *page, o *listOptions, walk func(func(kinds.Object) bool)) {
	walk(func(obj kinds.Object) bool {
		switch {
		case o.limit == 0:
			p.items = append(p.items, obj)
		case p.remaining >= 0:
			p.remaining++
		case !o.matches(obj):
		case int64(len(p.items)) < o.limit:
			p.items = append(p.items, obj)
		default:
			last := kinds.KeyOf(p.items[len(p.items)-1])
			p.next = continueToken{RV: int64(p.rv), Namespace: last.Namespace, Name: last.Name}.encode()
			if !o.all() {
				return false
			}
			p.remaining = 1
		}
		return true
	})
}

// exactly is the version at which a list is to be made; 0 is the latest.
func (o *listOptions) exactly(latest uint64) (uint64, error) {
	if o.cont != nil {
		if o.cont.RV < 0 {
			return 0, nil
		}
		if uint64(o.cont.RV) > latest {
			return 0, o.cont.expired() // the cluster has been set back since
		}
		return uint64(o.cont.RV), nil
	}
	if o.version == 0 {
		return 0, nil
	}
	if err := notInFuture(o.version, latest); err != nil {
		return 0, err
	}
	if o.match == metav1.ResourceVersionMatchExact || o.match == "" && o.limit > 0 {
		return o.version, nil
	}
	return 0, nil
}

// expired is the 410 that makes a client list again.
func expired(rv uint64, cause error) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("too old resource version: %d (%v)", rv, cause))
}
