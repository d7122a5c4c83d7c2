package agent

import (
	"context"
	"errors"
	"syscall"

	"seatrial.dev/seatrial/live/gossip"
)

// gossipPortsMax is how many ports are tried: a host may have a server, too.
const gossipPortsMax = 4

// serveGossip is this host's part in the membership until the context ends: that the
// others hear from it. What they tell of each other the server listens to.
func (a *Agent) serveGossip(ctx context.Context) {
	cfg := gossip.Config{Name: a.cfg.NodeName, Role: gossip.Agent, Advertise: a.cfg.NodeIP, BindAddr: a.cfg.NodeIP,
		Port: gossip.DefaultPort, Key: a.member.GossipKey, Join: a.member.Gossip, Report: func(err error) { a.log("%v", err) }}
	for ctx.Err() == nil {
		m, err := gossip.Start(ctx, cfg)
		switch {
		case errors.Is(err, syscall.EADDRINUSE) && cfg.Port < gossip.DefaultPort+gossipPortsMax-1:
			cfg.Port++
			continue
		case err != nil:
			a.log("%v", err)
			cfg.Port = gossip.DefaultPort
			sleep(ctx, networkRetry)
			continue
		}
		for range m.Events() { // until the context ends
			continue
		}
		m.Close()
	}
}
