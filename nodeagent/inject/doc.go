// Package inject decides what a container gets of the API's objects: its environment,
// its command with the environment's values in it, and the files of volumes that are
// made of objects (configMap, secret, downwardAPI, projected).
//
// Needs names the objects, the world fetches them, and the other functions are pure in
// what it found. An object that is not there is left out of Objects; whether that is an
// error depends on whether it was called optional, and the errors are in the kubelet's
// words, as people search for them.
//
// It writes no file and knows no path of a host.
package inject
