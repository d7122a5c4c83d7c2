// Package noderestriction refuses what a node agent may not write though its rights
// name such objects
// (https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction):
// pods, nodes, leases and CSINodes other than its own, labels that are not its to set,
// its range of pod addresses, and tokens for pods that are elsewhere or do not ask for
// them. The Node authorizer (package nodeauth) counts on it, for it does not see the
// objects.
//
// It is a function of the request and of what is stored, and is called where the
// store may be read. On any other user it has nothing to say.
package noderestriction
