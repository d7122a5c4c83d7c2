package sim

import "math/bits"

// Hash is a running 64-bit hash over words: each is mixed in by a 64x64 to 128
// bit multiplication folded onto itself (the mixing step of wyhash). It is the
// same on every machine; it is no defence against a deliberate collision.
type Hash uint64

const (
	hashK0 = 0xa0761d6478bd642f
	hashK1 = 0xe7037ed1a0b428db
)

func newHash(seed uint64) Hash {
	h := Hash(hashK0)
	h.fold(seed)
	return h
}

func (h *Hash) fold(x uint64) {
	hi, lo := bits.Mul64(uint64(*h)^x^hashK0, hashK1)
	*h = Hash((hi ^ lo) + x)
}

// fold4 mixes in four words with two multiplications that do not wait for each
// other.
func (h *Hash) fold4(a, b, c, d uint64) {
	hi, lo := bits.Mul64(a^uint64(*h), b^hashK1)
	hi2, lo2 := bits.Mul64(c^hashK0, d^bits.RotateLeft64(uint64(*h), 32))
	*h = Hash((hi ^ lo) + bits.RotateLeft64(hi2^lo2, 17) + a)
}

// HashString returns a hash of a string, to be folded.
func HashString(s string) uint64 {
	h := Hash(hashK1)
	for len(s) >= 8 {
		h.fold(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
		s = s[8:]
	}
	var w uint64
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	h.fold(w | uint64(len(s)+1)<<56)
	return uint64(h)
}
