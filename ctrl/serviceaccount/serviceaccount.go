package serviceaccount

import (
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/cluster/store"
	"seatrial.dev/seatrial/cluster/view"
	"seatrial.dev/seatrial/ctrl"
)

const (
	accountName = "default"
	bundleName  = "kube-root-ca.crt"
	bundleKey   = "ca.crt"
	// bundleNote tells people what the ConfigMap is for, in Kubernetes' words.
	bundleNote  = "kubernetes.io/description"
	bundleWords = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
		"No other usage is guaranteed across distributions of Kubernetes clusters."
)

// Controller is the service account controller.
type Controller struct {
	rootCA string
}

// New returns it. rootCA is a certificate in PEM, or "" to publish none.
func New(rootCA string) *Controller { return &Controller{rootCA} }

// Name is "serviceaccount-controller".
func (*Controller) Name() string { return "serviceaccount-controller" }

// Kinds are namespaces and what is put into each.
func (*Controller) Kinds() []kinds.Kind {
	return []kinds.Kind{kinds.Namespace, kinds.ServiceAccount, kinds.ConfigMap}
}

// Keys asks for a namespace that came, and for one whose own object changed.
func (c *Controller) Keys(_ *view.View, e store.Event, add func(kinds.Ref)) {
	switch {
	case e.Ref.Kind == kinds.Namespace:
		if e.Type != store.Deleted {
			add(e.Ref)
		}
	case e.Ref.Kind == kinds.ServiceAccount && e.Ref.Name == accountName && e.Type == store.Deleted,
		e.Ref.Kind == kinds.ConfigMap && e.Ref.Name == bundleName && c.rootCA != "" && e.Type != store.Added:
		add(kinds.Ref{Kind: kinds.Namespace, Key: kinds.Key{Name: e.Ref.Namespace}})
	}
}

// Reconcile gives one namespace what it lacks.
func (c *Controller) Reconcile(_ time.Time, v *view.View, key kinds.Ref) (p ctrl.Plan) {
	ns := view.Get[*corev1.Namespace](v, kinds.Namespace, key.Key)
	if ns == nil || ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		return p
	}
	if view.Get[*corev1.ServiceAccount](v, kinds.ServiceAccount, kinds.Key{Namespace: ns.Name, Name: accountName}) == nil {
		p.Write(api.Create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: accountName}}))
	}
	if c.rootCA != "" {
		c.bundle(v, ns.Name, &p)
	}
	return p
}

func (c *Controller) bundle(v *view.View, namespace string, p *ctrl.Plan) {
	data := map[string]string{bundleKey: c.rootCA}
	have := view.Get[*corev1.ConfigMap](v, kinds.ConfigMap, kinds.Key{Namespace: namespace, Name: bundleName})
	switch {
	case have == nil:
		p.Write(api.Create(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: bundleName, Annotations: map[string]string{bundleNote: bundleWords}},
			Data:       data,
		}))
	case !maps.Equal(have.Data, data) || have.Annotations[bundleNote] != bundleWords:
		m := *have
		m.Data = data
		m.Annotations = maps.Clone(have.Annotations)
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[bundleNote] = bundleWords
		p.Write(api.Update(&m))
	}
}
