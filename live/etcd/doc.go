// Package etcd keeps what a cluster writes. The API decides on a store in memory; the
// Journal puts each of its writes into etcd, in order and many in one transaction, and
// says when a write is there to stay. At the start the store is filled from it again.
//
// Each object is one key, PREFIX/objects/GROUP/PLURAL/NAMESPACE/NAME, its value the
// object in JSON as the API shows it, but without apiVersion and kind, which the key
// tells. PREFIX/version is the resourceVersion of the latest write; it is written in the
// same transaction, so what is found after a crash is the cluster at one version, with
// nothing acknowledged missing.
//
// One server writes at a time: it puts its name under PREFIX/owner, and every transaction
// asks for it. A server that finds another's name there stops, with ErrTakenOver.
//
// By default etcd runs in this process, its files below one folder and its doors unix
// sockets in it; a cluster of its own is used by its addresses.
package etcd
