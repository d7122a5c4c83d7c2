// Package audit writes who asked the API for what and how it went: one line of JSON
// a request, as events of audit.k8s.io/v1 at the level Metadata
// (https://kubernetes.io/docs/tasks/debug/debug-cluster/audit/).
//
// An Event says nothing of the bodies of requests and answers, so that no secret
// can be in it; what a client may have put into the query or a header in its
// mistake is struck out.
//
// A Log keeps to a size: when a line would make its file longer than allowed it
// asks for a new file, and so keeps a number of old ones. Which file that is, and
// when to write it to the disk, is for the Files to say that a world gives it: there
// are no files here. A Log is used by one goroutine at a time.
package audit
