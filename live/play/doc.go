// Package play runs a scenario on a real cluster in a lab: the counterpart of sim/play.
// It applies the manifests, carries out the time line (writes over the API, faults done
// to the lab's hosts) and shows the same judge every write, in the order in which they
// were made.
//
// Time is the wall's, from when the nodes are ready. There is no hash: no two runs are
// the same. What a run is shown of the cluster it knows by watches, so a write is judged
// a few milliseconds after it was made; while the server is down, nothing is.
//
// One goroutine, Run's, owns the judge and the mirrored store; steps that wait for
// answers have goroutines of their own and ask it for the state that they need.
package play
