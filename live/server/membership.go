package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/live/gossip"
)

// joinMax is how many nodes a server that starts again asks to let it in.
const joinMax = 16

// gossip is this server's part in the membership: it marks the Leases of hosts that the
// others have given up.
func (s *Server) gossip(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	known, err := s.plane.nodeAddrs(ctx, s.cfg.GossipPort)
	if err != nil {
		return err
	}
	m, err := gossip.Start(ctx, gossip.Config{
		Name: "server@" + host, Role: gossip.Server, Key: s.keys.gossip, Advertise: s.cfg.Advertise, Port: int(s.cfg.GossipPort),
		Join: known, Report: s.cfg.Problem,
	})
	if err != nil {
		return err
	}
	defer m.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-m.Events():
			if !ok {
				return nil
			}
			s.heard(ctx, e)
		}
	}
}

// heard acts on what gossip tells.
func (s *Server) heard(ctx context.Context, e gossip.Event) {
	switch {
	case e.Kind == gossip.Clashed:
		s.cfg.Problem(errors.New(e.String()))
	case e.Kind == gossip.Failed && e.Role == gossip.Agent:
		if err := s.plane.giveUp(ctx, e.Node); err != nil && ctx.Err() == nil {
			s.cfg.Problem(fmt.Errorf("node %s is dead, says gossip, but its Lease could not be marked: %w", e.Node, err))
		}
	}
}

// nodeAddrs are where agents of the cluster gossip.
func (p *Plane) nodeAddrs(ctx context.Context, port uint16) (list []string, err error) {
	err = p.Do(ctx, func(_ time.Time, a *api.API) {
		for o := range a.Store().List(kinds.Node, "") {
			for _, at := range o.(*corev1.Node).Status.Addresses {
				if at.Type == corev1.NodeInternalIP && len(list) < joinMax {
					list = append(list, net.JoinHostPort(at.Address, strconv.Itoa(int(port))))
				}
			}
		}
	})
	return list, err
}

// giveUp marks a node's Lease: after this heartbeat nobody heard of it (view.UnheardAfter).
func (p *Plane) giveUp(ctx context.Context, node string) error {
	var err error
	derr := p.Do(ctx, func(now time.Time, a *api.API) {
		l, ok := a.Store().Get(kinds.Ref{Kind: kinds.Lease, Key: kinds.Key{Namespace: view.NodeLeaseNamespace, Name: node}}).(*coordinationv1.Lease)
		if !ok {
			return // it was never heard of
		}
		n, _ := a.Store().Get(kinds.Ref{Kind: kinds.Node, Key: kinds.Key{Name: node}}).(*corev1.Node)
		c := l.DeepCopy()
		if c.Annotations == nil {
			c.Annotations = map[string]string{}
		}
		c.Annotations[view.UnheardAfter] = view.LastHeard(n, l).UTC().Format(time.RFC3339Nano)
		_, err = a.Do(now, api.Update(c))
	})
	if derr != nil {
		return derr
	}
	return err
}
