// Package backend says which pods stand behind a service.
//
// It is what the controllers of Endpoints and of EndpointSlices share: which
// services a pod's change concerns, which pods count, which port of a pod a
// service port means, how slices are named. What each writes about it is its own
// part.
package backend
