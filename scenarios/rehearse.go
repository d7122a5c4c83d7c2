package scenarios

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
)

// rehearse applies the manifests to an API of its own, so that what only the API
// knows is found before the run: duplicate names, namespaces that do not exist,
// node ports that are out of range or taken.
func (r *reader) rehearse() {
	n := &r.scn.Network
	a, err := api.New(store.New(1), rand.New(rand.NewPCG(0, 0)), api.Config{ServiceCIDR: n.ServiceCIDR, NodePortMin: n.NodePortMin, NodePortMax: n.NodePortMax})
	if err != nil {
		r.fail("spec.cluster.network", "%v", err)
		return
	}
	for _, ns := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease} {
		if _, err := a.Do(time.Unix(0, 0), api.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})); err != nil {
			panic(err) // an empty store takes them
		}
	}
	first := map[kinds.Ref]kinds.Document{}
	for _, d := range r.docs {
		if was, twice := first[d.Ref]; twice && d.Ref.Name != "" {
			r.errs = append(r.errs, &kinds.InputError{File: d.File, Line: d.Line, Field: "metadata.name", Value: d.Ref.Name,
				Problem: fmt.Sprintf("%s is defined twice, first at %s:%d", d.Ref, was.File, was.Line)})
			continue
		}
		first[d.Ref] = d
		if d.Ref.Kind == kinds.Namespace && a.Store().Get(d.Ref) != nil {
			continue // one that every cluster has
		}
		if _, err := a.Do(time.Unix(0, 0), api.Create(kinds.Clone(d.Object))); err != nil {
			r.refused(d, err)
		}
	}
}

// refused turns the API's answer into errors of the manifest's lines.
func (r *reader) refused(d kinds.Document, err error) {
	var status *apierrors.StatusError
	if !errors.As(err, &status) {
		r.invalid(d, "", err.Error())
		return
	}
	details := status.ErrStatus.Details
	switch {
	case apierrors.IsInvalid(err) && details != nil && len(details.Causes) > 0:
		for _, c := range details.Causes {
			r.invalid(d, c.Field, c.Message)
		}
	case apierrors.IsNotFound(err):
		r.invalid(d, "metadata.namespace", "namespace \""+d.Ref.Namespace+"\" does not exist; add it to the manifests")
	default:
		r.invalid(d, "", status.ErrStatus.Message)
	}
}
