// Package authtest reads users and questions from the transcripts of the tests
// below cluster/auth. Only tests import it.
package authtest
