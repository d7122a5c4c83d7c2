package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"seatrial.dev/seatrial/live/image"
)

// Repository is what the images' names begin with.
const Repository = "seatrial.dev/demo/"

// nobody is who the programs run as: none of them needs root.
const nobody = "65532:65532"

// specs are the images, From being the program's package. web:v2 is web:v1 but for the
// version it tells, so that a rolling update can be watched.
func specs() []image.Spec {
	return []image.Spec{
		{Name: Repository + "web:v1", From: "web", Env: []string{"VERSION=v1"}, User: nobody, Ports: []string{"8080"}},
		{Name: Repository + "web:v2", From: "web", Env: []string{"VERSION=v2"}, User: nobody, Ports: []string{"8080"}},
		{Name: Repository + "kv:v1", From: "kv", User: nobody, Ports: []string{"8080"}},
		{Name: Repository + "worker:v1", From: "worker", User: nobody},
		{Name: Repository + "load:v1", From: "load", User: nobody},
	}
}

// Names are the images' names, in the order in which they are built.
func Names() (out []string) {
	for _, s := range specs() {
		out = append(out, s.Name)
	}
	return out
}

// Build compiles the programs statically and writes their images into an OCI layout at
// dir, in the place of one that was there. source is the module's folder; the go command
// must be on the PATH.
func Build(ctx context.Context, source, dir string) error {
	bin, err := os.MkdirTemp("", "seatrial-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	built := map[string]bool{}
	var list []image.Named
	for _, s := range specs() {
		program := filepath.Join(bin, s.From)
		if !built[s.From] {
			if err := compile(ctx, source, "./live/demo/"+s.From, program); err != nil {
				return fmt.Errorf("build demo image %s: %w", s.Name, err)
			}
			built[s.From] = true
		}
		s.From = program
		img, err := image.Build(s)
		if err != nil {
			return err
		}
		list = append(list, image.Named{Name: s.Name, Image: img})
	}
	return image.WriteLayout(dir, list)
}

// compile leaves out what differs between two folders or checkouts.
func compile(ctx context.Context, source, pkg, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", to, pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	var problem bytes.Buffer
	cmd.Stderr = &problem
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, problem.Bytes())
	}
	return nil
}
