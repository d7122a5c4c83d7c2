package nodeagent

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"seatrial.dev/seatrial/cluster/api"
)

// statusWriter brings one pod's status to the API: one write in flight, always of
// the latest status, and none that would change nothing.
type statusWriter struct {
	status *corev1.PodStatus // as last drawn up; never changed afterwards
	stored *corev1.PodStatus // as the API has it, as far as is known
	sent   *corev1.PodStatus // in flight
	tag    uint64            // of the write in flight; 0 is none

	dirty   bool      // something has changed since status was drawn up
	retryAt time.Time // no write before this
	lost    bool      // the API does not want this pod's status any more

	differed  bool      // a pod seen while the write was in flight had another status
	echoed    bool      // the API has been seen to have the status last written
	lookAgain time.Time // when to stop believing that the view is merely behind
	deleting  bool      // the write in flight is the delete
	deleted   bool      // it has been sent
}

// unwritten says that the API is still to be told of the latest status.
func (w *statusWriter) unwritten() bool {
	return w.status != nil && w.status != w.stored && !w.lost
}

// flush sends the latest status if the API does not have it.
func (a *Agent) flush(p *pod) {
	if p.gone || p.tag != 0 {
		return
	}
	if !p.lookAgain.IsZero() && !a.now.Before(p.lookAgain) {
		p.lookAgain, p.stored = time.Time{}, &p.api.Status
	}
	if a.now.Before(p.retryAt) {
		return
	}
	p.retryAt = time.Time{}
	if !p.unwritten() {
		return
	}
	if sameStatus(p.status, p.stored) {
		p.stored = p.status
		if p.stage == stageEnd {
			a.syncEnd(p)
		}
		return
	}
	out := *p.api
	out.Status = withForeign(p.status, &p.api.Status)
	out.ResourceVersion = ""
	p.sent, p.echoed, p.differed, p.lookAgain = p.status, false, false, time.Time{}
	p.tag = a.write(p, api.UpdateStatus(&out))
}

func (a *Agent) podWrote(p *pod, in Wrote) {
	if p.tag != in.Tag {
		return
	}
	p.tag = 0
	sent := p.sent
	p.sent = nil
	wasDelete := p.deleting
	p.deleting = false
	switch {
	case in.Err == nil:
		if !wasDelete {
			p.stored = sent
			if p.differed {
				a.compareSeen(p)
			}
		}
	case apierrors.IsNotFound(in.Err), apierrors.IsConflict(in.Err):
		p.lost = true // the pod is gone, or another bears its name; PodGone follows
	default:
		p.retryAt = a.now.Add(a.cfg.WriteRetry)
		p.deleted = p.deleted && !wasDelete
	}
	if a.pods[p.uid] == p {
		a.sync(p)
	}
}

// compareSeen looks whether the API has the status that was written. A view may
// be behind, so one that differs is believed only if it had caught up before, or
// still differs after StatusResync.
func (a *Agent) compareSeen(p *pod) {
	if p.status == nil || p.lost {
		return
	}
	if p.tag != 0 {
		if p.sent != nil && !p.echoed {
			p.echoed = sameStatus(p.sent, &p.api.Status)
			p.differed = !p.echoed
		}
		return
	}
	switch {
	case p.stored != p.status:
		return // to be written anyway
	case sameStatus(p.status, &p.api.Status):
		p.echoed, p.lookAgain = true, time.Time{}
	case p.echoed:
		p.stored = &p.api.Status
	case p.lookAgain.IsZero():
		p.lookAgain = a.now.Add(a.cfg.StatusResync)
	}
}
