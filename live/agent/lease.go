package agent

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
)

// The node's heartbeat, with Kubernetes' times.
const (
	leaseEvery   = 10 * time.Second
	leaseSeconds = 40
	leaseRetry   = time.Second
	// stuckAfter is how long the loop may do nothing, not even look at the clock, before the
	// heart stops: a node whose agent hangs is not ready.
	stuckAfter = 30 * time.Second
)

// beat renews the node's Lease until the context ends.
func (a *Agent) beat(ctx context.Context) {
	var last *coordinationv1.Lease
	for {
		wait := leaseEvery
		if idle := time.Since(time.Unix(0, a.alive.Load())); idle > stuckAfter {
			a.log("the loop has been stuck for %s: the node's lease is not renewed", idle.Round(time.Second))
		} else {
			next, err := a.renew(ctx, last)
			if err != nil {
				wait, next = leaseRetry, nil
				if ctx.Err() == nil {
					a.log("renew the node's lease: %v", err)
				}
			}
			last = next
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

func (a *Agent) renew(ctx context.Context, last *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ref := kinds.Ref{Kind: kinds.Lease, Key: kinds.Key{Namespace: view.NodeLeaseNamespace, Name: a.cfg.NodeName}}
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	if last == nil {
		found, err := a.client.Get(ctx, ref)
		switch {
		case err == nil:
			last = found.(*coordinationv1.Lease)
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	now, seconds := metav1.NewMicroTime(time.Now()), int32(leaseSeconds)
	if last == nil {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: ref.Namespace, Name: ref.Name}}
		l.Spec = coordinationv1.LeaseSpec{HolderIdentity: &a.cfg.NodeName, LeaseDurationSeconds: &seconds, RenewTime: &now}
		if n := a.ownNode.Load(); n != nil {
			l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: n.UID}}
		}
		return lease(a.client.Do(ctx, api.Create(l)))
	}
	l := *last
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &a.cfg.NodeName, &seconds, &now
	return lease(a.client.Do(ctx, api.Update(&l)))
}

func lease(o kinds.Object, err error) (*coordinationv1.Lease, error) {
	if err != nil {
		return nil, err
	}
	l, ok := o.(*coordinationv1.Lease)
	if !ok {
		return nil, fmt.Errorf("the answer is a %T", o)
	}
	return l, nil
}

// sleep waits; false if the context has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
