//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/live/testbed"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/standin"
)

// labImages are what a lab's hosts have.
type labImages struct {
	files []string      // layouts and archives
	made  []image.Named // stand-ins
}

// prepareLab refuses what a lab cannot do, makes stand-ins for the images that no file has,
// or refuses to, and says which they are. Nothing is made on the machine.
func prepareLab(ctx context.Context, scn *scenarios.Scenario, files []string, standIns bool) (out labImages, err error) {
	out.files = files
	if err := checkForLab(scn); err != nil {
		return out, status{exitInput, err}
	}
	missing, err := testbed.MissingImages(ctx, scn, files)
	if err != nil {
		return out, status{exitInput, err}
	}
	names := strings.Join(standin.Names(missing), ", ")
	if len(missing) > 0 && !standIns {
		return out, status{exitInput, fmt.Errorf("%s: images that are not in %s: %s; give a layout or an archive of them by --images, or let them be stood in for by --stand-ins", scn.File, orNothing(files), names)}
	}
	if os.Getuid() != 0 {
		return out, status{exitInput, fmt.Errorf("%s: a lab makes hosts, containers and networks on this machine, which needs root", scn.File)}
	}
	if len(missing) == 0 {
		return out, nil
	}
	self, err := os.Executable()
	if err != nil {
		return out, status{exitWorld, err}
	}
	if out.made, err = testbed.StandIns(filepath.Join(filepath.Dir(self), testbed.StandInProgram), missing); err != nil {
		return out, status{exitWorld, err}
	}
	fmt.Fprintf(os.Stderr, "stand-ins, as the scenario describes them, for images that are not in %s: %s\n", orNothing(files), names)
	return out, nil
}

// orNothing names the files with images.
func orNothing(files []string) string {
	if len(files) == 0 {
		return "--images"
	}
	return strings.Join(files, ", ")
}
