package rounding

import "math"

// ln is the natural logarithm of a small whole number, the same on every processor:
// math.Log is written in assembly for some, and elsewhere may fuse its products. The
// method is that of FreeBSD's e_log.c: x = 2^k (1+f), and a polynomial in s = f/(2+f).
func ln(n int) float64 {
	const (
		ln2Hi = 6.93147180369123816490e-01
		ln2Lo = 1.90821492927058770002e-10
	)
	odd := [7]float64{6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01,
		2.222219843214978396e-01, 1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01}
	f, k := math.Frexp(float64(n))
	if f < math.Sqrt2/2 {
		f, k = f*2, k-1
	}
	f--
	kf := float64(k)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	t1 := float64(s2 * (odd[0] + float64(s4*(odd[2]+float64(s4*(odd[4]+float64(s4*odd[6])))))))
	t2 := float64(s4 * (odd[1] + float64(s4*(odd[3]+float64(s4*odd[5])))))
	r := t1 + t2
	half := float64(0.5 * float64(f*f))
	return float64(kf*ln2Hi) - ((half - (float64(s*(half+r)) + float64(kf*ln2Lo))) - f)
}
