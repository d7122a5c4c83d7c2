// Package behaviour is what a stand-in is told: how the main process of a container is to
// behave that a scenario only describes. Package standin works it out, the program
// live/demo/standin does it; between them it is JSON in the image's environment.
//
// It knows nothing of Kubernetes, as the program runs in each container and is to be small.
package behaviour
