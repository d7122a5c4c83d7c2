package proxy

import (
	"slices"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// pools chooses the endpoints of each policy that some front uses.
//
// An external front of policy Local needs the cluster pool too: this node and its pods
// use it as if they had come in by a load balancer that chose any node.
func (c *Config) pools(p *Port, all []candidate) {
	var cluster, local bool
	for i := range p.Fronts {
		f := &p.Fronts[i]
		cluster = cluster || f.Policy == Cluster || f.External()
		local = local || f.Policy == Local
	}
	if cluster {
		fits := c.hinted(all)
		p.Cluster = p.choose(all, func(e *candidate) bool { return e.ready && fits(e) })
		if len(p.Cluster) == 0 {
			p.Cluster = p.choose(all, (*candidate).stillServes)
		}
	}
	if local {
		p.Local = p.choose(all, func(e *candidate) bool { return e.Local && e.ready })
		if len(p.Local) == 0 {
			p.Local = p.choose(all, func(e *candidate) bool { return e.Local && e.stillServes() })
		}
	}
	p.Anywhere = len(p.Cluster) > 0 || local && slices.ContainsFunc(all, func(e candidate) bool { return e.ready || e.stillServes() })
}

// stillServes is what may be used where nothing is ready.
func (e *candidate) stillServes() bool { return e.serving && e.terminating }

func (p *Port) choose(all []candidate, fits func(*candidate) bool) (out []Endpoint) {
	n := 0
	for i := range all {
		if !fits(&all[i]) {
			continue
		}
		if n++; n <= EndpointsMax {
			out = append(out, all[i].Endpoint)
		}
	}
	p.Unused = max(p.Unused, n-EndpointsMax)
	return out
}

// hinted says which endpoints the hints keep: those for this node, else those for its
// zone, else all. Hints count only when every ready endpoint has one, and when one is
// for this node, or for its zone.
func (c *Config) hinted(all []candidate) func(*candidate) bool {
	everyNode, everyZone, someNode, someZone := true, true, false, false
	for i := range all {
		if e := &all[i]; e.ready {
			everyNode = everyNode && e.hints != nil && len(e.hints.ForNodes) > 0
			everyZone = everyZone && e.hints != nil && len(e.hints.ForZones) > 0
			someNode = someNode || c.forNode(e)
			someZone = someZone || c.forZone(e)
		}
	}
	switch {
	case everyNode && someNode:
		return c.forNode
	case everyZone && someZone:
		return c.forZone
	}
	return func(*candidate) bool { return true }
}

func (c *Config) forNode(e *candidate) bool {
	return e.hints != nil && slices.Contains(e.hints.ForNodes, discoveryv1.ForNode{Name: c.Node})
}

func (c *Config) forZone(e *candidate) bool {
	return e.hints != nil && slices.Contains(e.hints.ForZones, discoveryv1.ForZone{Name: c.Zone})
}
