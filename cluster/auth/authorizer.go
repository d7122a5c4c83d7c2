package auth

import (
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// Attributes are what an Authorizer may know of a request.
type Attributes struct {
	User            User
	Verb            string // of objects: get, list, watch, create, update, patch, delete, deletecollection, ...; of paths: the HTTP method in lower case
	ResourceRequest bool   // about an object, not about a path

	APIGroup    string // "" is the core group
	APIVersion  string
	Resource    string // plural: "pods"
	Subresource string // "log"
	Namespace   string // "" at the cluster scope and across namespaces
	Name        string // "" of a list without a field selector on metadata.name

	Fields fields.Requirements // of a list, watch or deletecollection; may be nil
	Labels labels.Requirements

	Path string // of a request that is not about an object: "/healthz"
}

// Decision is an Authorizer's answer.
type Decision uint8

// What an Authorizer may answer. Nobody's opinion is a refusal.
const (
	NoOpinion Decision = iota
	Allow
	Deny
)

// String is the decision in a word.
func (d Decision) String() string { return [...]string{"no opinion", "allow", "deny"}[d] }

// Authorizer decides whether a request may be carried out.
type Authorizer interface {
	// Authorize does not keep a. The reason is for people and may be empty.
	Authorize(a *Attributes) (d Decision, reason string)
}

// RuleLister is an Authorizer that can say beforehand what a user may do, which a
// SelfSubjectRulesReview asks.
type RuleLister interface {
	// Rules lists what a user may do in a namespace and to paths.
	Rules(u *User, namespace string) Rules
}

// Rules are what a user may do.
type Rules struct {
	Resource    []authorizationv1.ResourceRule
	NonResource []authorizationv1.NonResourceRule
	Incomplete  bool   // the user may be able to do more
	Problem     string // why, for people
}

// AlwaysAllow allows everything.
type AlwaysAllow struct{}

// Authorize allows.
func (AlwaysAllow) Authorize(*Attributes) (Decision, string) { return Allow, "" }

// Rules are all.
func (AlwaysAllow) Rules(*User, string) Rules {
	all := []string{"*"}
	return Rules{
		Resource:    []authorizationv1.ResourceRule{{Verbs: all, APIGroups: all, Resources: all}},
		NonResource: []authorizationv1.NonResourceRule{{Verbs: all, NonResourceURLs: all}},
	}
}

// AlwaysDeny allows nothing. Like Kubernetes' it has no opinion, so that one after
// it in a Chain may still allow.
type AlwaysDeny struct{}

// Authorize refuses.
func (AlwaysDeny) Authorize(*Attributes) (Decision, string) {
	return NoOpinion, "Everything is forbidden."
}

// Rules are none.
func (AlwaysDeny) Rules(*User, string) Rules { return Rules{} }

// Privileged allows everything to the group system:masters, whatever the objects
// of the cluster say: the way back in. It stands first in a server's Chain.
type Privileged struct{}

// Authorize allows masters and has no opinion on others.
func (Privileged) Authorize(a *Attributes) (Decision, string) {
	if a.User.In(Masters) {
		return Allow, ""
	}
	return NoOpinion, ""
}

// Rules are all, for masters.
func (Privileged) Rules(u *User, namespace string) Rules {
	if u.In(Masters) {
		return AlwaysAllow{}.Rules(u, namespace)
	}
	return Rules{}
}

// Chain asks authorizers in order; the first that allows or denies has decided.
type Chain []Authorizer

// Authorize has no opinion where nobody has one, and then gives all reasons.
func (c Chain) Authorize(a *Attributes) (Decision, string) {
	var reasons []string
	for _, az := range c {
		d, reason := az.Authorize(a)
		if d != NoOpinion {
			return d, reason
		}
		if reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return NoOpinion, strings.Join(reasons, "\n")
}

// Rules are those of all, incomplete where one cannot list its own.
func (c Chain) Rules(u *User, namespace string) Rules {
	var all Rules
	var problems []string
	for _, az := range c {
		l, ok := az.(RuleLister)
		if !ok {
			all.Incomplete = true
			continue
		}
		r := l.Rules(u, namespace)
		all.Resource = append(all.Resource, r.Resource...)
		all.NonResource = append(all.NonResource, r.NonResource...)
		all.Incomplete = all.Incomplete || r.Incomplete
		if r.Problem != "" {
			problems = append(problems, r.Problem)
		}
	}
	all.Problem = strings.Join(problems, "; ")
	return all
}
