package apiserver

import (
	"errors"
	"fmt"
	"iter"
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
	walk := s.ListAfter(c.res.kind, ns, start)
	if at != 0 && at != s.RV() {
		walk, err = s.ListAt(c.res.kind, ns, start, at)
		switch {
		case errors.Is(err, store.ErrTooOld) && o.cont != nil:
			return p, o.cont.expired()
		case err != nil:
			return p, expired(at, err)
		}
		p.rv = at
	}
	p.fill(o, walk)
	return p, nil
}

// fill takes a page's objects from a walk. How many are left over is counted for the
// first page, and handed on by the tokens.
func (p *page) fill(o *listOptions, walk iter.Seq[kinds.Object]) {
	for obj := range walk {
		switch {
		case o.limit == 0:
			p.items = append(p.items, obj)
			continue
		case p.remaining >= 0:
			p.remaining++
			continue
		case !o.matches(obj):
			continue
		case int64(len(p.items)) < o.limit:
			p.items = append(p.items, obj)
			continue
		case !o.all(): // not to be known without asking each
			p.next = p.token()
			return
		case o.cont != nil && o.cont.Left > 0:
			p.remaining = max(o.cont.Left-int64(len(p.items)), 1)
			p.next = p.token()
			return
		}
		p.remaining = 1
	}
	if p.remaining > 0 {
		p.next = p.token()
	}
}

// token goes on after the page's last object.
func (p *page) token() string {
	last := kinds.KeyOf(p.items[len(p.items)-1])
	return continueToken{RV: int64(p.rv), Namespace: last.Namespace, Name: last.Name, Left: max(p.remaining, 0)}.encode()
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
