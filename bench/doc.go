// Package bench measures what the design promises: the engine, scenarios from the
// smallest to a thousand nodes, a quiet day. Each measurement is repeated and its
// least, median and greatest wall time are told, with processor time and memory,
// so that two builds can be compared by ratios of one machine.
//
// The figures of record and the commands that made them are in FIGURES.md.
package bench
