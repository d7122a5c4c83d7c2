package kinds

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

func (c *check) replicationController(root *loc, rc *corev1.ReplicationController) {
	at := root.dot("spec")
	c.count(&at, "replicas", rc.Spec.Replicas)
	c.notNegative(&at, "minReadySeconds", int64(rc.Spec.MinReadySeconds))
	if len(rc.Spec.Selector) == 0 {
		c.required(&at, "selector", "")
	}
	t := rc.Spec.Template
	if t == nil {
		c.required(&at, "template", "")
		return
	}
	here := at.dot("template")
	if len(rc.Spec.Selector) > 0 && !labels.SelectorFromSet(rc.Spec.Selector).Matches(labels.Set(t.Labels)) {
		c.mismatch(&here, t)
	}
	c.template(&here, t)
	c.longRunning(&here, t, "ReplicationController")
}

func (c *check) count(at *loc, name string, n *int32) {
	if n != nil {
		c.notNegative(at, name, int64(*n))
	}
}

func (c *check) mismatch(template *loc, t *corev1.PodTemplateSpec) {
	meta := template.dot("metadata")
	c.invalid(&meta, "labels", t.Labels, "`selector` does not match template `labels`")
}

// longRunning: what keeps pods running restarts their containers and knows no
// deadline.
func (c *check) longRunning(template *loc, t *corev1.PodTemplateSpec, owner string) {
	spec := template.dot("spec")
	if t.Spec.RestartPolicy != corev1.RestartPolicyAlways && t.Spec.RestartPolicy != "" {
		c.notSupported(&spec, "restartPolicy", string(t.Spec.RestartPolicy), []string{string(corev1.RestartPolicyAlways)})
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		c.forbidden(&spec, "activeDeadlineSeconds", "activeDeadlineSeconds in "+owner+" is not Supported")
	}
}

// chosen checks a workload's selector and template together: the selector must
// pick out the pods that the template makes.
func (c *check) chosen(at *loc, s *metav1.LabelSelector, t *corev1.PodTemplateSpec, kind, owner string) {
	switch {
	case s == nil:
		c.required(at, "selector", "")
	case len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0:
		c.invalid(at, "selector", s, "empty selector is invalid for "+kind)
	default:
		c.selector(at, "selector", s)
		if sel, err := metav1.LabelSelectorAsSelector(s); err == nil && !sel.Matches(labels.Set(t.Labels)) {
			here := at.dot("template")
			c.mismatch(&here, t)
		}
	}
	here := at.dot("template")
	c.template(&here, t)
	c.longRunning(&here, t, owner)
}

func (c *check) replicaSet(root *loc, rs *appsv1.ReplicaSet) {
	at := root.dot("spec")
	c.count(&at, "replicas", rs.Spec.Replicas)
	c.notNegative(&at, "minReadySeconds", int64(rs.Spec.MinReadySeconds))
	c.chosen(&at, rs.Spec.Selector, &rs.Spec.Template, "deployment", "ReplicaSet")
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/
func (c *check) deployment(root *loc, d *appsv1.Deployment) {
	at := root.dot("spec")
	c.count(&at, "replicas", d.Spec.Replicas)
	c.chosen(&at, d.Spec.Selector, &d.Spec.Template, "deployment", "ReplicaSet")
	strategy := at.dot("strategy")
	switch d.Spec.Strategy.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if d.Spec.Strategy.RollingUpdate != nil {
			c.forbidden(&strategy, "rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		if r := d.Spec.Strategy.RollingUpdate; r == nil {
			c.required(&strategy, "rollingUpdate", "this should be defaulted and never be nil")
		} else {
			here := strategy.dot("rollingUpdate")
			c.rolling(&here, r.MaxUnavailable, r.MaxSurge)
		}
	default:
		oneOf(c, &strategy, "type", d.Spec.Strategy.Type, appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)
	}
	c.notNegative(&at, "minReadySeconds", int64(d.Spec.MinReadySeconds))
	c.count(&at, "revisionHistoryLimit", d.Spec.RevisionHistoryLimit)
	if p := d.Spec.ProgressDeadlineSeconds; p != nil {
		c.notNegative(&at, "progressDeadlineSeconds", int64(*p))
		if *p <= d.Spec.MinReadySeconds {
			c.invalid(&at, "progressDeadlineSeconds", *p, "must be greater than minReadySeconds")
		}
	}
}

// rolling: with neither room above nor below, an update could not take a step.
func (c *check) rolling(at *loc, unavailable, surge *intstr.IntOrString) {
	c.share(at, "maxUnavailable", unavailable)
	c.share(at, "maxSurge", surge)
	if isZero(unavailable) && isZero(surge) {
		c.invalid(at, "maxUnavailable", shown(unavailable), "may not be 0 when `maxSurge` is 0")
	}
	c.atMostAll(at, "maxUnavailable", unavailable)
}

// share checks a number of pods, or a part of them in percent.
func (c *check) share(at *loc, name string, v *intstr.IntOrString) {
	if v == nil {
		return
	}
	if v.Type == intstr.Int {
		if v.IntVal < 0 {
			c.invalid(at, name, v.IntVal, notNegative)
		}
		return
	}
	if msgs := validation.IsValidPercent(v.StrVal); len(msgs) > 0 {
		c.invalids(at, name, shown(v), msgs)
	}
}

func (c *check) atMostAll(at *loc, name string, v *intstr.IntOrString) {
	if p, ok := percent(v); ok && p > 100 {
		c.invalid(at, name, shown(v), "must not be greater than 100%")
	}
}

// percent reads "25%"; ok is false for a plain number or anything else.
func percent(v *intstr.IntOrString) (p int, ok bool) {
	if v == nil || v.Type != intstr.String || !strings.HasSuffix(v.StrVal, "%") {
		return 0, false
	}
	p, err := intstr.GetScaledValueFromIntOrPercent(v, 100, false)
	return p, err == nil
}

func isZero(v *intstr.IntOrString) bool {
	if v == nil {
		return true
	}
	p, ok := percent(v)
	return v.Type == intstr.Int && v.IntVal == 0 || ok && p == 0
}

// shown is how a value is printed in an error: as it stands in the file.
func shown(v *intstr.IntOrString) any {
	switch {
	case v == nil:
		return nil
	case v.Type == intstr.Int:
		return v.IntVal
	}
	return v.StrVal
}
