// Package rounding holds the few steps of kube-scheduler's scores that it takes in
// floating point, so that ours come to the same whole numbers.
//
// Every step rounds by itself: a product is converted before it is added to, which
// keeps compilers from fusing the two (go.dev/ref/spec#Floating_point_operators), and
// no function is used that is assembly on some processors. The results are therefore
// equal on every machine. Nothing else in a decision may use floating point.
package rounding
