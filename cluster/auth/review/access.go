package review

import (
	"fmt"
	"slices"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"seatrial.dev/seatrial/cluster/auth"
)

// SelfSubjectAccess says whether u may do something: kubectl auth can-i.
func SelfSubjectAccess(az auth.Authorizer, u auth.User, q *authorizationv1.SelfSubjectAccessReview) (*authorizationv1.SelfSubjectAccessReview, error) {
	out := q.DeepCopy()
	var err error
	out.Status, err = access(az, u, "SelfSubjectAccessReview", q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes, nil)
	return out, err
}

// SubjectAccess says whether a user or a group may do something.
func SubjectAccess(az auth.Authorizer, q *authorizationv1.SubjectAccessReview) (*authorizationv1.SubjectAccessReview, error) {
	out := q.DeepCopy()
	var err error
	out.Status, err = access(az, subject(&q.Spec), "SubjectAccessReview", q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes, nobody(&q.Spec))
	return out, err
}

// LocalSubjectAccess is SubjectAccess for the objects of the review's namespace.
func LocalSubjectAccess(az auth.Authorizer, q *authorizationv1.LocalSubjectAccessReview) (*authorizationv1.LocalSubjectAccessReview, error) {
	problems := nobody(&q.Spec)
	spec := field.NewPath("spec")
	switch r := q.Spec.ResourceAttributes; {
	case r != nil && r.Namespace != q.Namespace:
		problems = append(problems, field.Invalid(spec.Child("resourceAttributes", "namespace"), r.Namespace, "must match metadata.namespace"))
	case q.Spec.NonResourceAttributes != nil:
		problems = append(problems, field.Invalid(spec.Child("nonResourceAttributes"), "", "disallowed on this kind of request"))
	}
	out := q.DeepCopy()
	var err error
	out.Status, err = access(az, subject(&q.Spec), "LocalSubjectAccessReview", q.Spec.ResourceAttributes, q.Spec.NonResourceAttributes, problems)
	return out, err
}

func subject(s *authorizationv1.SubjectAccessReviewSpec) auth.User {
	u := auth.User{Name: s.User, UID: s.UID, Groups: slices.Clone(s.Groups)}
	if len(s.Extra) > 0 {
		u.Extra = map[string][]string{}
		for k, v := range s.Extra {
			u.Extra[k] = v
		}
	}
	return u
}

// nobody is the problem of a question that names neither user nor group.
func nobody(s *authorizationv1.SubjectAccessReviewSpec) field.ErrorList {
	if s.User != "" || len(s.Groups) > 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "user"), s.User, "at least one of user or group must be specified")}
}

// access answers unless there are problems.
func access(az auth.Authorizer, u auth.User, kind string, r *authorizationv1.ResourceAttributes, n *authorizationv1.NonResourceAttributes, problems field.ErrorList) (authorizationv1.SubjectAccessReviewStatus, error) {
	spec := field.NewPath("spec")
	switch {
	case r == nil && n == nil:
		problems = append(problems, field.Invalid(spec.Child("resourceAttributes"), nil, "exactly one of nonResourceAttributes or resourceAttributes must be specified"))
	case r != nil && n != nil:
		problems = append(problems, field.Invalid(spec.Child("nonResourceAttributes"), "", "cannot be specified in combination with resourceAttributes"))
	}
	if len(problems) > 0 {
		return authorizationv1.SubjectAccessReviewStatus{}, apierrors.NewInvalid(authorizationv1.SchemeGroupVersion.WithKind(kind).GroupKind(), "", problems)
	}
	a := auth.Attributes{User: u}
	if n != nil {
		a.Verb, a.Path = n.Verb, n.Path
	} else {
		a.ResourceRequest = true
		a.Verb, a.APIGroup, a.APIVersion, a.Resource, a.Subresource = r.Verb, r.Group, r.Version, r.Resource, r.Subresource
		a.Namespace, a.Name = r.Namespace, r.Name
		if a.APIVersion == "" {
			a.APIVersion = "*"
		}
		a.Fields, a.Labels = selectors(r)
	}
	d, reason := az.Authorize(&a)
	return authorizationv1.SubjectAccessReviewStatus{Allowed: d == auth.Allow, Denied: d == auth.Deny, Reason: reason}, nil
}

// selectors reads the selectors of a question. What cannot be read is left out,
// which can only make the answer stricter.
func selectors(r *authorizationv1.ResourceAttributes) (fields.Requirements, labels.Requirements) {
	var f fields.Requirements
	var l labels.Requirements
	if s := r.FieldSelector; s != nil {
		if raw, err := fields.ParseSelector(s.RawSelector); err == nil && s.RawSelector != "" {
			f = raw.Requirements()
		}
		for _, q := range s.Requirements {
			if len(q.Values) == 1 && (q.Operator == metav1.FieldSelectorOpIn || q.Operator == metav1.FieldSelectorOpNotIn) {
				op := selection.Equals
				if q.Operator == metav1.FieldSelectorOpNotIn {
					op = selection.NotEquals
				}
				f = append(f, fields.Requirement{Field: q.Key, Operator: op, Value: q.Values[0]})
			}
		}
	}
	if s := r.LabelSelector; s != nil {
		if raw, err := labels.Parse(s.RawSelector); err == nil && s.RawSelector != "" {
			l, _ = raw.Requirements()
		}
		if parsed, err := metav1.LabelSelectorAsSelector(&metav1.LabelSelector{MatchExpressions: s.Requirements}); err == nil && len(s.Requirements) > 0 {
			more, _ := parsed.Requirements()
			l = append(l, more...)
		}
	}
	return f, l
}

// SelfSubjectRules lists what u may do in a namespace: kubectl auth can-i --list.
func SelfSubjectRules(az auth.Authorizer, u auth.User, q *authorizationv1.SelfSubjectRulesReview) (*authorizationv1.SelfSubjectRulesReview, error) {
	if q.Spec.Namespace == "" {
		return nil, apierrors.NewBadRequest("no namespace on request")
	}
	out := q.DeepCopy()
	out.Status = authorizationv1.SubjectRulesReviewStatus{ResourceRules: []authorizationv1.ResourceRule{}, NonResourceRules: []authorizationv1.NonResourceRule{}}
	l, ok := az.(auth.RuleLister)
	if !ok {
		out.Status.Incomplete = true
		out.Status.EvaluationError = fmt.Sprintf("%T does not support user rule resolution", az)
		return out, nil
	}
	r := l.Rules(&u, q.Spec.Namespace)
	out.Status.ResourceRules = append(out.Status.ResourceRules, r.Resource...)
	out.Status.NonResourceRules = append(out.Status.NonResourceRules, r.NonResource...)
	out.Status.Incomplete, out.Status.EvaluationError = r.Incomplete, r.Problem
	return out, nil
}
