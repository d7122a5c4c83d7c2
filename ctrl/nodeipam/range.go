package nodeipam

import (
	"fmt"
	"math/bits"
	"net/netip"
)

// subnetsMax bounds the subnets of a range; Kubernetes' own bound is lower, but
// is one of memory alone.
const subnetsMax = 1 << 20

// pool is the subnets of one range.
type pool struct {
	base   netip.Prefix
	bits   int // length of a subnet's prefix
	count  int
	used   []uint64
	lowest int // no word of used before this one has a free bit
}

func newPool(base netip.Prefix, subnetBits int) (*pool, error) {
	spare := subnetBits - base.Bits()
	if spare < 0 || subnetBits > base.Addr().BitLen() {
		return nil, fmt.Errorf("range %s has no subnet of /%d", base, subnetBits)
	}
	n := subnetsMax
	if spare < bits.Len(subnetsMax-1) {
		n = 1 << spare
	}
	p := &pool{base: base.Masked(), bits: subnetBits, count: n, used: make([]uint64, (n+63)/64)}
	for i := n; i < len(p.used)*64; i++ {
		p.used[i/64] |= 1 << (i % 64) // beyond the end
	}
	return p, nil
}

// take returns the lowest free subnet and marks it used.
func (p *pool) take() (int, bool) {
	for ; p.lowest < len(p.used); p.lowest++ {
		if free := ^p.used[p.lowest]; free != 0 {
			i := p.lowest*64 + bits.TrailingZeros64(free)
			p.mark(i)
			return i, true
		}
	}
	return 0, false
}

func (p *pool) mark(i int) { p.used[i/64] |= 1 << (i % 64) }

func (p *pool) free(i int) {
	p.used[i/64] &^= 1 << (i % 64)
	p.lowest = min(p.lowest, i/64)
}

// index finds which subnet of the range a prefix is; ok is false for one that is
// none.
func (p *pool) index(s string) (int, bool) {
	sub, err := netip.ParsePrefix(s)
	if err != nil || sub.Bits() != p.bits || !p.base.Contains(sub.Addr()) {
		return 0, false
	}
	a, b := sub.Addr().AsSlice(), p.base.Addr().AsSlice()
	n := 0
	for bit := p.base.Bits(); bit < p.bits; bit++ {
		n = n<<1 | int((a[bit/8]^b[bit/8])>>(7-bit%8)&1)
	}
	return n, n < p.count
}

// subnet is the inverse of index.
func (p *pool) subnet(i int) string {
	raw := p.base.Addr().AsSlice()
	for bit := p.bits - 1; i > 0; bit-- {
		raw[bit/8] |= byte(i&1) << (7 - bit%8)
		i >>= 1
	}
	addr, _ := netip.AddrFromSlice(raw)
	return netip.PrefixFrom(addr, p.bits).String()
}
