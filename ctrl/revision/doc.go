// Package revision keeps the history of a workload's pod template in
// ControllerRevisions, as DaemonSets and StatefulSets do.
//
// A revision holds a template and a number; the highest number is the template of
// today. A revision's name ends in a hash of its template, and its pods bear that
// hash (or, of a StatefulSet, the name) in the label controller-revision-hash. Going
// back to an old template gives its revision the highest number again.
package revision
