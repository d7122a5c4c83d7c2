// Package standin works out which images of a scenario need a stand-in, and how each is to
// behave: scenarios name images that do not exist and describe them in spec.images, for
// the simulator. On real hosts a container of a stand-in behaves as the description says.
//
// It is pure. Which images are there already, and making images of the answer, is the
// real world's part; the program is live/demo/standin.
//
// An image is asked for under the name that pods have, in any spelling. All containers of
// an image share its stand-in, so it listens on the ports and has the programs of all of
// them. An image that the scenario says cannot be pulled has none: so it cannot.
package standin
