// Package review answers questions about authentication and authorization that
// clients put as objects which are never stored
// (https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access):
// "may I", "may somebody else", "what may I", "who am I", "whose is this token".
//
// Each answer is a copy of the question with its status filled in. The server has
// authorized the question itself before. Errors are *errors.StatusError of
// apimachinery, for questions that are malformed.
package review
