// Package draw makes random clusters and pods, all from a seed: the same seed gives
// the same objects, in any release of this module that has not changed this package.
//
// A cluster has some features and lacks others (Feature), each drawn anew, so that
// what one plugin refuses does not hide what the others would have said, and so that
// pods often do find a node. The values are few and small: collisions of labels,
// ports, sizes and scores are the point.
//
// The objects are as an API server would hand them out: defaulted, valid, and with
// matchLabelKeys merged into the selectors of affinity terms.
package draw
