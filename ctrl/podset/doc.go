// Package podset holds what the controllers of sets of equal pods share: a pod
// made from a template, when a pod is available, and which pods go first when
// there are too many.
//
// Rules and their names are those of Kubernetes' pkg/controller; what is only
// one controller's own stays in that controller's package.
package podset
