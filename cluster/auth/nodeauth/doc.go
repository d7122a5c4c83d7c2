// Package nodeauth decides what a node agent may do, by which pods are on its node
// (https://kubernetes.io/docs/reference/access-authn-authz/node/).
//
// Roles cannot say it: a node may read a secret, a config map, a volume claim or a
// service account's token exactly while one of its own pods uses it, and of nodes,
// leases and pods only its own. For the rest the rules of
// defaultroles.NodeRules hold. On any other user it has no opinion. It never
// denies: a node that has a role besides keeps it.
//
// That a node writes no pod and no node but its own is the work of admission
// (package noderestriction), which sees the object.
//
// What a pod uses is read from a view when it is asked for: a node has a hundred
// pods or so, and asking needs no graph that must be kept up.
package nodeauth
