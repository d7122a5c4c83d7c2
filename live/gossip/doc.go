// Package gossip is one host's part in the membership of a cluster, by
// hashicorp/memberlist (SWIM with Lifeguard's suspicion): who is there, who came,
// who left, and who is not answering any more. It carries nothing else.
//
// All members hold one key; what is not encrypted with it is not read. A host's
// server or agent starts one Member (Start) and reads its Events; the node
// controller's driver turns Failed into a node that does not answer. Each member
// must be a process of its own in its host's network namespace, since connections
// are made on any thread.
//
// # Left and failed
//
// A member that goes by Leave tells every other one so, by TCP, before it goes; one
// that stops answering is declared dead by the others. memberlist itself tells the
// two apart on the wire but not to its caller, hence the message. Whoever missed
// the message sees Failed, which is the safe side: a failed node is looked after.
//
// # Time
//
// A member probes one other each probeInterval (0.5 s), in random order, so that
// someone probes a dead host about 0.5 s after its death at the latest on average,
// whatever the number of hosts. A probe without an answer, direct (0.2 s), by three
// others and by TCP, makes the host suspect at the end of the interval. A suspect
// that does not object for suspicionMult × log10(hosts, at least 10) intervals, which
// are 2 s for ten hosts and 3 s for thirty, is dead. Together 3 to 5 s. Fewer
// confirmations than suspicionMult-2 stretch the wait, at most suspicionMaxMult times
// (6 s): two hosts that die at once, or one that sees nobody, are still settled in
// less than ten. memberlist's own settings for a LAN have twice the intervals and up
// to six times the wait. A host that is slow itself doubts itself first: its probes
// get up to awarenessMax times longer. Half a second of lost packets or a
// stalled process therefore does no harm; two seconds of silence to everybody do.
//
// News is passed on more often than by default (retransmitMult), since with few hosts
// four copies may all go to the same ones; what is missed all the same comes with the
// next full exchange, each pushPullInterval (10 s).
//
// # After a partition
//
// memberlist stops talking to the dead after deadGossip; two halves that have
// declared each other dead would stay apart for ever. So each member tries one of
// those it has lost each reconnectEvery (2 s), for reconnectFor (a day), and the
// addresses it was told to join when it is alone.
package gossip
