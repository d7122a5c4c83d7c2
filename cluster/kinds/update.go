package kinds

import (
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// ValidateUpdate says what is wrong with replacing old by new, beside what is
// wrong with new alone: fields that may not change have.
func ValidateUpdate(new, old Object) field.ErrorList {
	var c check
	c.object(new)
	return settle(c.errs)
}
