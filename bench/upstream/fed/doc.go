// Package fed has informers of client-go that are fed by hand instead of by an API
// server: of a scheduler that is a function (package reference), and of the kinds that
// Seatrial's API server has not, of which there are no objects (package speed).
package fed
