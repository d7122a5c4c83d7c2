package testbed

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"seatrial.dev/seatrial/live/image"
	"seatrial.dev/seatrial/scenarios"
	"seatrial.dev/seatrial/scenarios/standin"
	"seatrial.dev/seatrial/scenarios/standin/behaviour"
)

// StandInProgram is the main process of stand-ins, beside seatrial.
const StandInProgram = "seatrial-standin"

// nobody is the user of images whose pods insist on one that is not root.
const nobody = "65532:65532"

// noProgram is the entry point of images that cannot start: there is none there.
const noProgram = "/no-such-program"

// MissingImages are the images of a scenario that layouts and archives do not have. Those
// with a name that is none are left to fail as they do anywhere.
func MissingImages(ctx context.Context, scn *scenarios.Scenario, layouts []string) ([]standin.Image, error) {
	var have []string
	for _, file := range layouts {
		names, err := image.Within(ctx, file)
		if err != nil {
			return nil, err
		}
		have = append(have, names...)
	}
	return slices.DeleteFunc(standin.Images(scn), func(im standin.Image) bool {
		full, err := image.Canonical(im.Name)
		return err != nil || slices.Contains(have, full)
	}), nil
}

// StandIns makes images of what they are to be: all of one layer, the program, and some of
// another one with links to it.
func StandIns(program string, list []standin.Image) ([]image.Named, error) {
	if len(list) == 0 {
		return nil, nil
	}
	base, err := image.Build(image.Spec{Name: "seatrial.dev/standin:base", From: program})
	if err != nil {
		return nil, fmt.Errorf("the program of stand-ins: %w; make build makes it", err)
	}
	var out []image.Named
	for _, im := range list {
		img, err := standIn(base, &im)
		if err != nil {
			return nil, fmt.Errorf("stand-in for image %s: %w", im.Name, err)
		}
		out = append(out, image.Named{Name: im.Name, Image: img})
	}
	return out, nil
}

func standIn(img v1.Image, im *standin.Image) (v1.Image, error) {
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config := *file.Config.DeepCopy()
	text, err := im.Behaviour.Text()
	if err != nil {
		return nil, err
	}
	config.Env = append(config.Env, behaviour.Variable+"="+text)
	if im.NonRoot {
		config.User = nobody
	}
	programs := im.Programs
	if im.Broken {
		config.Entrypoint, programs = []string{noProgram}, nil
	}
	if len(programs) > 0 {
		layer, err := links("/"+StandInProgram, programs)
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			return nil, err
		}
	}
	return mutate.Config(img, config)
}

// links is a layer in which a program is at other paths, too.
func links(program string, at []string) (v1.Layer, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, p := range at {
		if strings.HasPrefix(p+"/", program+"/") {
			continue // it is there, and is no folder
		}
		h := &tar.Header{Typeflag: tar.TypeSymlink, Name: strings.TrimPrefix(p, "/"), Linkname: program, Mode: 0o777, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}
