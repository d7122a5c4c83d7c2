//go:build race

package play

// raceDetector says whether the tests were built with -race, which makes them
// several times slower.
const raceDetector = true
