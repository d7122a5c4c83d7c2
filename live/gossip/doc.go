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
// A member probes one other each probeInterval (0.7 s), in random order, so that
// someone probes a dead host within an interval or so of its death, whatever the
// number of hosts. A probe without an answer, direct (probeTimeout), by three others
// and by TCP, makes the host suspect at the end of the interval. When a second member
// has come to the same conclusion, a suspect that does not object for suspicionMult ×
// log10(hosts, at least 10) intervals, which are 2.1 s for ten hosts and 3.1 s for
// thirty, is dead. Together 3 to 4 s for ten hosts, and 4 to 5 s for thirty.
//
// One opinion is enough only after six times that, since it may be the one member
// that is cut off. News is passed on more often than by default (retransmitMult 20),
// so that it outlives such a silence: a suspicion that the suspect does not hear of
// it cannot answer. With this a silence of 1.5 s over and over makes nobody drop out
// (TestShortSilenceIsNoFailure); with 8 copies, or with suspicionMult 4, where
// clusters of three ask for no second opinion, it did. The price: a member that sees
// nobody at all, of three or more, says so after 13 s and more. memberlist's own
// settings for a LAN have an interval of 1 s and suspicionMult 4, and notice after 5
// to 6 s. What is missed all the same comes with the next full exchange, each
// pushPullInterval (10 s).
//
// # After a partition
//
// memberlist stops talking to the dead after deadGossip; two halves that have
// declared each other dead would stay apart for ever. So each member tries one of
// those it has lost each reconnectEvery (2 s), for reconnectFor (a day), and the
// addresses it was told to join when it is alone.
package gossip
