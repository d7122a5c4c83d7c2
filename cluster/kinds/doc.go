// Package kinds says which kinds of object exist and what is true of each.
//
// A Kind is a small integer that stands for one Kubernetes kind at its storage
// version (Pod is core/v1, Deployment apps/v1, ...). The table in table.go gives
// its group, version, plural, short names, scope and subresources. Around the
// table stand the functions that are pure in an object's content: decoding of
// manifests, conversion of old API versions, defaults, and validation.
//
// It is not a store and knows nothing of other objects: whether a name is taken
// or a namespace exists is decided in cluster/api.
//
// Vocabulary: an Object is a pointer to a type of k8s.io/api; a Key is its
// namespace and name; a Ref is a Kind and a Key. Objects are immutable once they
// have been put into a store: whoever wants to change one copies it first.
package kinds
