package world

import (
	"time"

	"seatrial.dev/seatrial/sim"
)

// heartbeat is what a host has let the cluster know of itself. While the host
// runs and reaches the API, its lease is renewed every LeaseRenew, and nobody
// plays these renewals: the world vouches for them. When that ends, the last one
// is written down, and the first one after is a write like any other.
type heartbeat struct {
	registered bool          // the API has its node
	steady     bool          // renewals are vouched for
	phase      time.Duration // a renewal is due at phase plus a multiple of LeaseRenew
	lastBeat   time.Duration // the last renewal that reached the API, while not steady
}

// pulse implements view.Pulse.
type pulse struct{ w *World }

func (p pulse) Heartbeat(node string) (last time.Time, steady bool) {
	h := p.w.byNode[node]
	if h == nil || !h.registered {
		return time.Time{}, false
	}
	if h.steady {
		return p.w.eng.DateOf(h.latestBeat()), true
	}
	return p.w.eng.DateOf(h.lastBeat), false
}

// latestBeat is the time of the last renewal that was due.
func (h *host) latestBeat() time.Duration {
	every, now := h.w.timing.LeaseRenew, h.w.eng.Now()
	if now < h.phase {
		return now
	}
	return h.phase + (now-h.phase)/every*every
}

// connectionChanged is called whenever the host may have begun or ceased to reach
// the API.
func (h *host) connectionChanged() {
	reaches := h.up && !h.frozen && h.registered && h.w.net.Connected(h.party, h.w.server.party)
	eng := h.w.eng
	switch {
	case h.steady && !reaches:
		h.lastBeat = h.latestBeat()
		h.steady = false
		eng.At(eng.Now(), h.w.server.id, sim.Msg{Kind: msgLastBeat, Ref: h})
	case !h.steady && reaches:
		eng.At(eng.Now(), h.id, sim.Msg{Kind: msgBeat, B: h.boots})
	}
	if h.up {
		h.stream.heal()
	}
}

// beat renews the lease by a write of its own; if that succeeds, the renewals after
// it are vouched for.
func (h *host) beat() {
	h.w.eng.Describe("heartbeat", "node/"+h.name, "")
	if !h.steady {
		h.w.server.call(call{req: h.w.server.leaseWrite(h.name, h.w.eng.Now()), from: h.party, to: h.id, kind: msgBeatWritten, b: h.boots})
	}
}

func (h *host) beatWritten(c *call) {
	err, boot := c.err, c.b
	h.w.server.done(c)
	if boot != h.boots || h.steady {
		return
	}
	if err != nil {
		if h.w.net.Connected(h.party, h.w.server.party) {
			h.w.eng.After(h.w.timing.LeaseRenew, h.id, sim.Msg{Kind: msgBeat, B: h.boots})
		}
		return // otherwise the link's return begins anew
	}
	h.steady = true
	h.phase = h.w.eng.Now()
	h.connectionChanged()
}
