// Command detlint runs the analyzer of package detlint under go vet, and counts
// its escapes:
//
//	go vet -vettool=bin/detlint ./...
//	bin/detlint escapes
package main

import (
	"fmt"
	"os"

	"golang.org/x/tools/go/analysis/unitchecker"

	"seatrial.dev/seatrial/internal/detlint"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "escapes" {
		if err := escapes("."); err != nil {
			fmt.Fprintln(os.Stderr, "detlint:", err)
			os.Exit(1)
		}
		return
	}
	unitchecker.Main(detlint.Analyzer)
}

func escapes(root string) error {
	list, err := detlint.CountEscapes(root)
	if err != nil {
		return err
	}
	total := 0
	for _, p := range list {
		total += p.Count
	}
	fmt.Printf("%d escapes (//det:ok) in %d packages\n", total, len(list))
	for _, p := range list {
		fmt.Printf("  %3d %s\n", p.Count, p.Package)
	}
	return nil
}
