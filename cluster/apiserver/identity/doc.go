// Package identity joins the HTTP front of the API to cluster/auth: it finds out who
// makes a request and as whom, asks whether he may, answers questions about that,
// mints tokens of service accounts and writes the audit log. It decides nothing by
// itself. Whoever serves a cluster uses it or lets everyone in.
//
// There are two clocks. Certificates are valid by the wall's, which TLS asks too,
// and audit lines bear its time. Whatever the cluster itself issues, tokens of
// service accounts and bootstrap tokens, is valid by the cluster's: in a simulated
// one an hour's token lasts an hour of virtual time, and does not age while the
// clock stands.
//
// Vocabulary: the sender of a request is whose credentials it carries; the user is
// whom it acts as, which is another where it impersonates.
//
// An Identity may be asked from many goroutines at once. It follows the roles, and
// for the Node authorizer the pods and volumes, by Observe, which the cluster calls
// on its own goroutine after every write; tokens are checked there as well, since
// that needs the store. The default roles are created by Prepare, as requests like
// any other, so that a recorded run has them.
package identity
