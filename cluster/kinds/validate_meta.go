package kinds

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// nameRule says how the names of a kind are formed: quick is the rule without
// words, slow the same with them (prefix: it is a generateName).
type nameRule struct {
	quick func(string) bool
	slow  func(name string, prefix bool) []string
}

// nameRuleOf: most names become part of a DNS name or a file's name, so most
// are subdomains; what becomes a host's name is a label.
// Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
func nameRuleOf(k Kind) nameRule {
	switch k {
	case Namespace, StatefulSet:
		return nameRule{isLabel, apivalidation.NameIsDNSLabel}
	case Service:
		return nameRule{func(s string) bool { return isLabel(s) && s[0] > '9' }, apivalidation.NameIsDNS1035Label}
	case Role, RoleBinding, ClusterRole, ClusterRoleBinding:
		return nameRule{isSubdomain, path.ValidatePathSegmentName}
	case CronJob:
		return nameRule{func(s string) bool { return len(s) <= maxCronJobName && isSubdomain(s) }, cronJobName}
	case IPAddress:
		return nameRule{func(string) bool { return false }, func(name string, _ bool) []string {
			if errs := validation.IsValidIP(nil, name); len(errs) > 0 {
				return []string{errs[0].Detail}
			}
			return nil
		}}
	}
	return nameRule{isSubdomain, apivalidation.NameIsDNSSubdomain}
}

// maxCronJobName leaves eleven letters for the time that its jobs' names end in.
const maxCronJobName = 63 - 11

func cronJobName(name string, prefix bool) []string {
	msgs := apivalidation.NameIsDNSSubdomain(name, prefix)
	if len(name) > maxCronJobName {
		msgs = append(msgs, "must be no more than 52 characters")
	}
	return msgs
}

// meta checks what every object has. A name that is still to be generated is
// judged by its prefix.
func (c *check) meta(m *metav1.ObjectMeta, k Kind) {
	rule := nameRuleOf(k)
	if metaIsPlain(m, k.Info().Namespaced, rule.quick) {
		return
	}
	named := *m
	if m.Name == "" && m.GenerateName != "" {
		named.Name = strings.TrimRight(m.GenerateName, "-.") + "-x"
		if msgs := rule.slow(m.GenerateName, true); len(msgs) > 0 {
			named.Name = "x" // the prefix is already to blame
		}
	}
	c.add(apivalidation.ValidateObjectMeta(&named, k.Info().Namespaced, rule.slow, field.NewPath("metadata")))
}

// metaIsPlain says that nothing is wrong; where it says no the slow way decides.
func metaIsPlain(m *metav1.ObjectMeta, namespaced bool, name func(string) bool) bool {
	if !name(m.Name) || m.GenerateName != "" && !isPrefix(m.GenerateName) || m.Generation < 0 {
		return false
	}
	if namespaced != (m.Namespace != "") || namespaced && !isLabel(m.Namespace) {
		return false
	}
	if !labelsArePlain(m.Labels) || !annotationsArePlain(m.Annotations) {
		return false
	}
	for i := range m.OwnerReferences {
		r := &m.OwnerReferences[i]
		if r.APIVersion == "" || r.APIVersion == "v1" && r.Kind == "Event" || r.Kind == "" || r.Name == "" || r.UID == "" ||
			strings.HasSuffix(r.APIVersion, "/") || strings.HasPrefix(r.APIVersion, "events") {
			return false
		}
	}
	for _, f := range m.Finalizers {
		if !strings.Contains(f, "/") || !isQualified(f) {
			return false
		}
	}
	return len(m.OwnerReferences) < 2 && len(m.ManagedFields) == 0
}

// isPrefix: a generateName that leaves a good name whatever is put behind it.
func isPrefix(s string) bool {
	return isSubdomain(s) || len(s) > 1 && len(s) < maxLabel && s[len(s)-1] == '-' && isLabel(s[:len(s)-1])
}

func labelsArePlain(m map[string]string) bool {
	for k, v := range m { //det:ok only whether any is bad
		if !isLabelValue(v) || !isQualified(k) {
			return false
		}
	}
	return true
}

func annotationsArePlain(m map[string]string) bool {
	size := 0
	for k, v := range m { //det:ok only whether any is bad
		if !isQualified(k) {
			return false
		}
		size += len(k) + len(v)
	}
	return size <= apivalidation.TotalAnnotationSizeLimitB
}

// labels checks a set of labels that is not an object's own.
func (c *check) labels(at *loc, name string, m map[string]string) {
	if !labelsArePlain(m) {
		c.add(sortErrors(metav1validation.ValidateLabels(m, below(at, name))))
	}
}

// selector checks a label selector; nil is left to the caller.
func (c *check) selector(at *loc, name string, s *metav1.LabelSelector) {
	if s == nil || len(s.MatchExpressions) == 0 && labelsArePlain(s.MatchLabels) {
		return
	}
	c.add(sortErrors(metav1validation.ValidateLabelSelector(s, metav1validation.LabelSelectorValidationOptions{}, below(at, name))))
}

func (c *check) label(at *loc, name, value string) {
	if !isLabel(value) {
		c.invalids(at, name, value, validation.IsDNS1123Label(value))
	}
}

func (c *check) subdomain(at *loc, name, value string) {
	if !isSubdomain(value) {
		c.invalids(at, name, value, validation.IsDNS1123Subdomain(value))
	}
}

func (c *check) qualified(at *loc, name, value string) {
	if !isQualified(value) {
		c.invalids(at, name, value, validation.IsQualifiedName(value))
	}
}

// template checks the labels and annotations of a pod template, and its spec.
func (c *check) template(at *loc, t *corev1.PodTemplateSpec) {
	meta := at.dot("metadata")
	c.labels(&meta, "labels", t.Labels)
	if !annotationsArePlain(t.Annotations) {
		c.add(sortErrors(apivalidation.ValidateAnnotations(t.Annotations, below(&meta, "annotations"))))
	}
	spec := at.dot("spec")
	c.podSpec(&spec, &t.Spec)
	if len(t.Spec.EphemeralContainers) > 0 {
		c.forbidden(&spec, "ephemeralContainers", "ephemeral containers not allowed in pod template")
	}
}

func (c *check) labelValue(at *loc, value string) {
	c.invalids(at, "", value, validation.IsValidLabelValue(value))
}
