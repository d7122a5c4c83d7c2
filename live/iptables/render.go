package iptables

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"math"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"seatrial.dev/seatrial/nodeagent/proxy"
)

// markMasquerade is the bit of a packet's mark that asks for masquerading.
const markMasquerade = 0x4000

// A rule is what follows "-A CHAIN ", in the words of iptables-save.
type rule = string

// chainName is a chain of one of the two tables.
type chainName struct{ table, name string }

// The tables.
const (
	nat    = "nat"
	filter = "filter"
)

// The chains to which every service may add rules.
const (
	natServices = iota
	natNodePorts
	filterServices
	filterExternal
	filterFirewall
	sharedCount
)

var sharedNames = [sharedCount]chainName{
	{nat, "KUBE-SERVICES"}, {nat, "KUBE-NODEPORTS"},
	{filter, "KUBE-SERVICES"}, {filter, "KUBE-EXTERNAL-SERVICES"}, {filter, "KUBE-PROXY-FIREWALL"},
}

// part is one service as rules: its share of the shared chains, and its own chains,
// which are all in nat.
type part struct {
	shared [sharedCount][]rule
	own    map[string][]rule
}

// renderer renders ports of one rule set.
type renderer struct {
	config *proxy.Config
}

func (r renderer) service(s *proxy.Service) *part {
	out := &part{own: map[string][]rule{}}
	for i := range s.Ports {
		r.port(out, s, &s.Ports[i])
	}
	return out
}

// portChains are what the rules of one port need to know of it.
type portChains struct {
	*proxy.Port
	name                        string // for comments
	protocol                    string
	cluster, local, ext, fw, id string
}

func (r renderer) port(out *part, s *proxy.Service, p *proxy.Port) {
	name := s.PortName(p)
	protocol := strings.ToLower(string(p.Protocol))
	id := name + protocol
	h := hash(id)
	c := portChains{p, name, protocol, "KUBE-SVC-" + h, "KUBE-SVL-" + h, "KUBE-EXT-" + h, "KUBE-FW-" + h, id}
	for i := range p.Fronts {
		if f := &p.Fronts[i]; f.External() {
			r.external(out, &c, f)
		} else {
			r.internal(out, &c, f)
		}
	}
	if used(p, proxy.Cluster) {
		r.pool(out, &c, c.cluster, p.Cluster)
	}
	if used(p, proxy.Local) {
		r.pool(out, &c, c.local, p.Local)
	}
}

// used says whether some rule may lead to the pool.
func used(p *proxy.Port, policy proxy.Policy) bool {
	if len(p.Pool(policy)) == 0 {
		return false
	}
	for i := range p.Fronts {
		if f := &p.Fronts[i]; f.Policy == policy || f.External() && policy == proxy.Cluster {
			return true
		}
	}
	return false
}

func (c *portChains) chain(policy proxy.Policy) string {
	if policy == proxy.Local {
		return c.local
	}
	return c.cluster
}

func hash(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base32.StdEncoding.EncodeToString(sum[:])[:16]
}

// to matches packets for a front.
func (c *portChains) to(f *proxy.Front, comment string) rule {
	var b strings.Builder
	if f.Kind != proxy.NodePort {
		fmt.Fprintf(&b, "-d %s ", host(f.Addr))
	}
	fmt.Fprintf(&b, "-p %s ", c.protocol)
	if comment != "" {
		fmt.Fprintf(&b, "-m comment --comment \"%s %s\" ", c.name, comment)
	}
	fmt.Fprintf(&b, "-m %s --dport %d", c.protocol, f.Port)
	return b.String()
}

func host(a netip.Addr) string { return netip.PrefixFrom(a, a.BitLen()).String() }

func (r renderer) internal(out *part, c *portChains, f *proxy.Front) {
	if c.Missing(f) != proxy.Present {
		r.missing(out, filterServices, c, f)
		return
	}
	chain := c.chain(f.Policy)
	out.add(natServices, c.to(f, "cluster IP")+" -j "+chain)
	if pods := r.config.PodCIDR; pods.IsValid() {
		out.append(chain, fmt.Sprintf("! -s %s %s -j KUBE-MARK-MASQ", pods, c.to(f, "")))
	}
}

func (r renderer) external(out *part, c *portChains, f *proxy.Front) {
	if c.Anywhere {
		switch f.Kind {
		case proxy.ExternalIP:
			out.add(natServices, c.to(f, "external IP")+" -j "+c.ext)
		case proxy.NodePort:
			out.add(natNodePorts, c.to(f, "node port")+" -j "+c.ext)
		case proxy.LoadBalancer:
			r.balancer(out, c, f)
		}
		r.outside(out, c, f)
	}
	if c.Missing(f) != proxy.Present {
		r.missing(out, filterExternal, c, f)
	}
}

// balancer leads to the external chain, by way of one that lets only some sources
// through if the service names them.
func (r renderer) balancer(out *part, c *portChains, f *proxy.Front) {
	if f.Sources == nil {
		out.add(natServices, c.to(f, "load balancer IP")+" -j "+c.ext)
		return
	}
	out.add(natServices, c.to(f, "load balancer IP")+" -j "+c.fw)
	out.add(filterFirewall, c.to(f, "from elsewhere than its source ranges")+" -j DROP")
	if _, there := out.own[c.fw]; !there {
		for _, from := range f.Sources {
			out.append(c.fw, fmt.Sprintf("-s %s -j %s", from, c.ext))
		}
	}
	if r.config.AmongSources(f) { // a node may have the address itself and then comes from it
		out.append(c.fw, fmt.Sprintf("-s %s -j %s", host(f.Addr), c.ext))
	}
}

// outside fills the chain that external addresses lead to; all have one policy.
func (r renderer) outside(out *part, c *portChains, f *proxy.Front) {
	if _, there := out.own[c.ext]; there {
		return
	}
	out.own[c.ext] = nil
	if f.Policy == proxy.Cluster {
		out.append(c.ext, "-j KUBE-MARK-MASQ")
	} else if len(c.Cluster) > 0 {
		if pods := r.config.PodCIDR; pods.IsValid() {
			out.append(c.ext, fmt.Sprintf("-s %s -j %s", pods, c.cluster))
		}
		out.append(c.ext, "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ", "-m addrtype --src-type LOCAL -j "+c.cluster)
	}
	if len(c.Pool(f.Policy)) > 0 {
		out.append(c.ext, "-j "+c.chain(f.Policy))
	}
}

func (r renderer) missing(out *part, shared int, c *portChains, f *proxy.Front) {
	comment, target := "has no endpoints", "REJECT --reject-with "+r.refusal(c.Protocol)
	if c.Missing(f) == proxy.Drop {
		comment, target = "has no local endpoints", "DROP"
	}
	local := ""
	if f.Kind == proxy.NodePort {
		local = " -m addrtype --dst-type LOCAL"
	}
	out.add(shared, c.to(f, comment)+local+" -j "+target)
}

// refusal is what the client gets. For TCP it is a reset, unlike kube-proxy's, since a
// kernel drops an ICMP error that comes while the socket is still in connect(), as it
// does on a quick link; the client would try again a second later.
func (r renderer) refusal(p corev1.Protocol) string {
	switch {
	case p == corev1.ProtocolTCP:
		return "tcp-reset"
	case r.config.IPv6:
		return "icmp6-port-unreachable"
	}
	return "icmp-port-unreachable"
}

// pool fills the chain that chooses among endpoints: first where the client has been
// before, then each of those that are left with the same chance.
func (r renderer) pool(out *part, c *portChains, chain string, pool []proxy.Endpoint) {
	for _, e := range pool {
		if c.Affinity > 0 {
			sep := c.endpoint(e)
			out.append(chain, fmt.Sprintf("-m recent --rcheck --seconds %d --reap --name %s %s -j %s", int(c.Affinity.Seconds()), sep, r.recentBy(), sep))
		}
	}
	for i, e := range pool {
		chance := ""
		if left := len(pool) - i; left > 1 {
			chance = "-m statistic --mode random --probability " + oneOf(left) + " "
		}
		if c.Affinity == 0 && e.Elsewhere {
			out.append(chain, fmt.Sprintf("-p %s %s-j DNAT --to-destination %s", c.protocol, chance, e.Addr))
			continue
		}
		sep := c.endpoint(e)
		out.append(chain, chance+"-j "+sep)
		if _, there := out.own[sep]; !there {
			r.endpoint(out, c, sep, e)
		}
	}
}

func (c *portChains) endpoint(e proxy.Endpoint) string {
	return "KUBE-SEP-" + hash(c.id+e.Addr.String())
}

func (r renderer) endpoint(out *part, c *portChains, sep string, e proxy.Endpoint) {
	if !e.Elsewhere {
		out.append(sep, fmt.Sprintf("-s %s -j KUBE-MARK-MASQ", host(e.Addr.Addr())))
	}
	note := ""
	if c.Affinity > 0 {
		note = fmt.Sprintf("-m recent --set --name %s %s ", sep, r.recentBy())
	}
	out.append(sep, fmt.Sprintf("-p %s %s-j DNAT --to-destination %s", c.protocol, note, e.Addr))
}

func (r renderer) recentBy() string {
	if r.config.IPv6 {
		return "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource"
	}
	return "--mask 255.255.255.255 --rsource"
}

// oneOf is the probability 1/n in the kernel's steps of 2^-31.
func oneOf(n int) string {
	const one = 1 << 31
	return fmt.Sprintf("%.11f", math.Round(one/float64(n))/one)
}

func (p *part) add(shared int, rules ...rule)      { p.shared[shared] = append(p.shared[shared], rules...) }
func (p *part) append(chain string, rules ...rule) { p.own[chain] = append(p.own[chain], rules...) }

// fixed are the chains that belong to no service.
func (r renderer) fixed() map[chainName][]rule {
	mark := fmt.Sprintf("%#x/%#x", markMasquerade, markMasquerade)
	out := map[chainName][]rule{
		{nat, "KUBE-MARK-MASQ"}: {"-j MARK --set-xmark " + mark},
		{nat, "KUBE-POSTROUTING"}: {
			"-m mark ! --mark " + mark + " -j RETURN",
			fmt.Sprintf("-j MARK --set-xmark %#x/0x0", markMasquerade), // once is enough
			`-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully`,
		},
		{nat, "KUBE-EGRESS"}: nil,
		{filter, "KUBE-FORWARD"}: {
			"-m conntrack --ctstate INVALID -j DROP", // it would be answered with a reset
			"-m mark --mark " + mark + " -j ACCEPT",
			"-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
		},
	}
	if c := r.config; c.ClusterCIDR.IsValid() && c.PodCIDR.IsValid() {
		multicast := "224.0.0.0/4"
		if c.IPv6 {
			multicast = "ff00::/8"
		}
		out[chainName{nat, "KUBE-EGRESS"}] = []rule{
			fmt.Sprintf("! -s %s -j RETURN", c.PodCIDR),
			fmt.Sprintf("-d %s -j RETURN", c.ClusterCIDR),
			fmt.Sprintf("-d %s -j RETURN", multicast),
			`-m comment --comment "pod traffic that leaves the cluster" -j MASQUERADE --random-fully`,
		}
	}
	return out
}

// last are the rules at the end of a shared chain.
func (r renderer) last(shared int) []rule {
	if shared != natServices {
		return nil
	}
	loopback := "127.0.0.0/8"
	if r.config.IPv6 {
		loopback = "::1/128"
	}
	return []rule{fmt.Sprintf(`! -d %s -m comment --comment "node ports; this is the last rule" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS`, loopback)}
}

// jump is a rule of a built-in chain that leads to one of ours.
type jump struct {
	from chainName
	rule rule
}

// jumps are in the order in which they are to stand at the head of each chain.
func jumps() (out []jump) {
	const fresh = "-m conntrack --ctstate NEW "
	for _, from := range []string{"INPUT", "FORWARD"} {
		out = append(out, jump{chainName{filter, from}, fresh + "-j KUBE-EXTERNAL-SERVICES"})
	}
	for _, from := range []string{"INPUT", "FORWARD", "OUTPUT"} {
		out = append(out, jump{chainName{filter, from}, fresh + "-j KUBE-PROXY-FIREWALL"})
	}
	for _, from := range []string{"FORWARD", "OUTPUT"} {
		out = append(out, jump{chainName{filter, from}, fresh + "-j KUBE-SERVICES"})
	}
	return append(out,
		jump{chainName{filter, "FORWARD"}, "-j KUBE-FORWARD"},
		jump{chainName{nat, "PREROUTING"}, "-j KUBE-SERVICES"},
		jump{chainName{nat, "OUTPUT"}, "-j KUBE-SERVICES"},
		jump{chainName{nat, "POSTROUTING"}, "-j KUBE-POSTROUTING"},
		jump{chainName{nat, "POSTROUTING"}, "-j KUBE-EGRESS"},
	)
}

// ours says whether a chain is one that this package makes.
func ours(name string) bool {
	for _, prefix := range []string{"KUBE-SVC-", "KUBE-SVL-", "KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	switch name {
	case "KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL",
		"KUBE-MARK-MASQ", "KUBE-POSTROUTING", "KUBE-EGRESS", "KUBE-FORWARD":
		return true
	}
	return false
}
