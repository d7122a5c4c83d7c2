package kinds

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate says what is wrong with an object by itself, in the words of
// Kubernetes' API server; nothing for a good one. It expects defaults to be
// filled in (Default) and the namespace to be set. Name clashes, references to
// other objects and cluster-wide ranges (node ports, service addresses) are for
// cluster/api to judge.
//
// Errors come in the order of the fields checked, which is the same each time.
func Validate(o Object) field.ErrorList {
	var c check
	c.object(o)
	return settle(c.errs)
}

// settle orders the errors of metadata, which the API machinery reports in the
// order of Go's maps. Errors elsewhere come in order already.
func settle(errs field.ErrorList) field.ErrorList {
	end := 0
	for end < len(errs) && strings.HasPrefix(errs[end].Field, "metadata") {
		end++
	}
	sortErrors(errs[:end])
	return errs
}

func sortErrors(errs field.ErrorList) field.ErrorList {
	slices.SortStableFunc(errs, func(a, b *field.Error) int {
		if a.Field != b.Field {
			return strings.Compare(a.Field, b.Field)
		}
		return strings.Compare(a.Error(), b.Error())
	})
	return errs
}

func (c *check) object(o Object) {
	var root loc
	switch o := o.(type) {
	case *corev1.Pod:
		c.meta(&o.ObjectMeta, Pod)
		c.pod(&root, o)
	case *corev1.Node:
		c.meta(&o.ObjectMeta, Node)
		c.node(&root, o)
	case *corev1.Namespace:
		c.meta(&o.ObjectMeta, Namespace)
		c.namespace(&root, o)
	case *corev1.Service:
		c.meta(&o.ObjectMeta, Service)
		c.service(&root, o)
	case *corev1.ConfigMap:
		c.meta(&o.ObjectMeta, ConfigMap)
		c.configMap(&root, o)
	case *corev1.Secret:
		c.meta(&o.ObjectMeta, Secret)
		c.secret(&root, o)
	case *corev1.ReplicationController:
		c.meta(&o.ObjectMeta, ReplicationController)
		c.replicationController(&root, o)
	case *appsv1.ReplicaSet:
		c.meta(&o.ObjectMeta, ReplicaSet)
		c.replicaSet(&root, o)
	case *appsv1.Deployment:
		c.meta(&o.ObjectMeta, Deployment)
		c.deployment(&root, o)
	default:
		c.other(&root, o)
	}
}

// metaOf is an object's metadata as a struct; every type of k8s.io/api has it.
func metaOf(o Object) *metav1.ObjectMeta {
	return o.(metav1.ObjectMetaAccessor).GetObjectMeta().(*metav1.ObjectMeta)
}
