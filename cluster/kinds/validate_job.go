package kinds

import (
	"fmt"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Limits of the fields of a job by which its indexes succeed and fail; they bound the
// text of status.failedIndexes and status.completedIndexes.
// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#backoff-limit-per-index
const (
	maxFailedIndexes = 100_000
	// A job with more completions than manyCompletions and a limit per index may
	// have no more pods at once, and no more failed indexes, than
	// maxOfManyCompletions.
	manyCompletions      = 100_000
	maxOfManyCompletions = 10_000
	maxSuccessRules      = 20
	maxSucceededIndexes  = 64 << 10 // characters
	maxManagedBy         = 63       // characters
)

func (c *check) managedBy(at *loc, s *batchv1.JobSpec) {
	if s.ManagedBy == nil {
		return
	}
	c.add(validation.IsDomainPrefixedPath(below(at, "managedBy"), *s.ManagedBy))
	if len(*s.ManagedBy) > maxManagedBy {
		c.errs = append(c.errs, field.TooLong(below(at, "managedBy"), "", maxManagedBy))
	}
}

// failingIndexes checks how many indexes of an Indexed job may fail.
func (c *check) failingIndexes(at *loc, s *batchv1.JobSpec) {
	n := s.MaxFailedIndexes
	switch {
	case n == nil:
	case s.Completions != nil && *n > *s.Completions:
		c.invalid(at, "maxFailedIndexes", *n, "must be less than or equal to completions")
	case *n > maxFailedIndexes:
		c.invalid(at, "maxFailedIndexes", *n, fmt.Sprintf("must be less than or equal to %d", maxFailedIndexes))
	}
	if s.Completions == nil || *s.Completions <= manyCompletions || s.BackoffLimitPerIndex == nil {
		return
	}
	if n == nil {
		c.required(at, "maxFailedIndexes", fmt.Sprintf("must be specified when completions is above %d", manyCompletions))
	}
	const why = "must be less than or equal to %d when completions are above %d and used with backoff limit per index"
	if n != nil && *n > maxOfManyCompletions {
		c.invalid(at, "maxFailedIndexes", *n, fmt.Sprintf(why, maxOfManyCompletions, manyCompletions))
	}
	if p := s.Parallelism; p != nil && *p > maxOfManyCompletions {
		c.invalid(at, "parallelism", *p, fmt.Sprintf(why, maxOfManyCompletions, manyCompletions))
	}
}

// Source: https://kubernetes.io/docs/concepts/workloads/controllers/job/#success-policy
func (c *check) successPolicy(at *loc, s *batchv1.JobSpec) {
	if s.SuccessPolicy == nil || s.Completions == nil {
		return
	}
	policy := at.dot("successPolicy")
	rules := s.SuccessPolicy.Rules
	if len(rules) == 0 {
		c.required(&policy, "rules", "at least one rules must be specified when the successPolicy is specified")
	}
	if len(rules) > maxSuccessRules {
		c.errs = append(c.errs, field.TooMany(below(&policy, "rules"), len(rules), maxSuccessRules))
	}
	for i := range rules {
		here := policy.index("rules", i)
		c.successRule(&here, &rules[i], *s.Completions)
	}
}

func (c *check) successRule(at *loc, r *batchv1.SuccessPolicyRule, completions int32) {
	if r.SucceededCount == nil && r.SucceededIndexes == nil {
		c.required(at, "", "at least one of succeededCount or succeededIndexes must be specified")
	}
	named := int32(0)
	if r.SucceededIndexes != nil {
		if len(*r.SucceededIndexes) > maxSucceededIndexes {
			c.errs = append(c.errs, field.TooLong(below(at, "succeededIndexes"), "", maxSucceededIndexes))
		}
		var err error
		if named, err = countIndexes(*r.SucceededIndexes, completions); err != nil {
			c.invalid(at, "succeededIndexes", *r.SucceededIndexes, "error parsing succeededIndexes: "+err.Error())
		}
	}
	n := r.SucceededCount
	if n == nil {
		return
	}
	c.count(at, "succeededCount", n)
	if *n > completions {
		c.invalid(at, "succeededCount", *n, fmt.Sprintf("must be less than or equal to %d (the number of specified completions)", completions))
	}
	if r.SucceededIndexes != nil && *n > named {
		c.invalid(at, "succeededCount", *n, fmt.Sprintf("must be less than or equal to %d (the number of indexes in the specified succeededIndexes field)", named))
	}
}

// countIndexes is how many completion indexes a text of intervals names ("0,2-4"):
// they must be in order, and below completions.
func countIndexes(s string, completions int32) (n int32, err error) {
	if s == "" {
		return 0, nil
	}
	last := int32(-1)
	for _, part := range strings.Split(s, ",") {
		ends := strings.Split(part, "-")
		if len(ends) > 2 {
			return 0, fmt.Errorf("the fragment %q violates the requirement that an index interval can have at most two parts separated by '-'", part)
		}
		first := last
		for i, end := range ends {
			v, err := strconv.ParseInt(end, 10, 32)
			switch {
			case err != nil:
				return 0, fmt.Errorf("cannot convert string to integer for index: %q", end)
			case int32(v) >= completions:
				return 0, fmt.Errorf("too large index: %q", end)
			case int32(v) <= last:
				return 0, fmt.Errorf("non-increasing order, previous: %d, current: %d", last, v)
			}
			if last = int32(v); i == 0 {
				first = last
			}
		}
		n += last - first + 1
	}
	return n, nil
}
