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

// imagesForLab makes stand-ins for the images that no file has, or refuses to, and says
// which they are.
func imagesForLab(ctx context.Context, scn *scenarios.Scenario, files []string, standIns bool) (out labImages, err error) {
	out.files = files
	missing, err := testbed.MissingImages(ctx, scn, files)
	if err != nil || len(missing) == 0 {
		return out, err
	}
	names := strings.Join(standin.Names(missing), ", ")
	if !standIns {
		return out, fmt.Errorf("%s: images that are not in %s: %s; give a layout or an archive of them by --images, or let them be stood in for by --stand-ins", scn.File, orNothing(files), names)
	}
	self, err := os.Executable()
	if err != nil {
		return out, err
	}
	if out.made, err = testbed.StandIns(filepath.Join(filepath.Dir(self), testbed.StandInProgram), missing); err != nil {
		return out, err
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
