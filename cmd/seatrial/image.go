//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"seatrial.dev/seatrial/live/image"
)

// imageRoot is where a host's images are, if nothing else is said.
const imageRoot = "/var/lib/seatrial/images"

type imageFlags struct {
	root   string
	output string
	name   string
	layout string
	spec   image.Spec
}

func imageCommand() *cobra.Command {
	var f imageFlags
	c := &cobra.Command{
		Use:   "image",
		Short: "The container images of this host: import, list, build, remove, prune",
		Long: `The container images of this host, as its agent has them. An image's name is
REGISTRY/REPOSITORY:TAG; as elsewhere in Kubernetes, "web" is
docker.io/library/web:latest, and may be written either way.`,
		Example: `  seatrial image import out/images
  seatrial image list
  seatrial image build --name web:v1 --from ./server --port 8080
  seatrial image remove web:v1`,
	}
	c.PersistentFlags().StringVar(&f.root, "root", imageRoot, "folder of the images")
	c.AddCommand(imageImportCommand(&f), imageListCommand(&f), imageBuildCommand(&f), imageRemoveCommand(&f), imagePruneCommand(&f))
	return onlyVerbs(c)
}

func imageImportCommand(f *imageFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "import PATH",
		Short: "Take in the images of an OCI layout or a docker save archive",
		Long: `Takes in all images of an OCI layout (a folder, or a tar archive of one) or of an
archive that docker save wrote, under the names they have there. Archives may be
gzipped. An image without a name gets that of --name.`,
		Example: `  seatrial image import out/images
  docker save web:v1 -o web.tar && seatrial image import web.tar
  seatrial image import layout.tar --name web:v1`,
		Args: exactly(1, "an OCI layout or a docker save archive"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := image.Open(f.root, image.Config{})
			if err != nil {
				return status{exitWorld, err}
			}
			var list []image.Image
			if f.name == "" {
				list, err = s.Import(c.Context(), args[0])
			} else {
				list = make([]image.Image, 1)
				list[0], err = s.ImportAs(c.Context(), args[0], f.name)
			}
			if err != nil {
				return status{exitInput, err}
			}
			for _, im := range list {
				for _, n := range im.Names {
					fmt.Println(n)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "name of the image, instead of its own")
	return c
}

func imageListCommand(f *imageFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the images of this host",
		Example: `  seatrial image list
  seatrial image list -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if f.output != "" && f.output != "json" {
				return status{exitInput, fmt.Errorf("--output %q: want json, or nothing for a table", f.output)}
			}
			s, err := f.open(c)
			if err != nil {
				return err
			}
			list, err := s.List()
			if err != nil {
				return status{exitWorld, err}
			}
			if f.output == "json" {
				if list == nil {
					list = []image.Image{}
				}
				e := json.NewEncoder(os.Stdout)
				e.SetIndent("", "  ")
				return e.Encode(list)
			}
			return printImages(list)
		},
	}
	c.Flags().StringVarP(&f.output, "output", "o", "", "json, or nothing for a table")
	return c
}

// open opens the store for what makes no images: a folder that was named wrongly is not
// made, and is no store without images.
func (f *imageFlags) open(c *cobra.Command) (*image.Store, error) {
	if _, err := os.Stat(f.root); errors.Is(err, fs.ErrNotExist) && c.Flags().Changed("root") {
		return nil, status{exitInput, fmt.Errorf("--root: no images are kept in %s: %w", f.root, err)}
	}
	s, err := image.Open(f.root, image.Config{})
	if err != nil {
		return nil, status{exitWorld, err}
	}
	return s, nil
}

func printImages(list []image.Image) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tID\tSIZE")
	for _, im := range list {
		for _, n := range im.Names {
			fmt.Fprintf(w, "%s\t%s\t%.1f MiB\n", n, im.ID[len("sha256:"):][:12], float64(im.Bytes)/(1<<20))
		}
	}
	return w.Flush()
}

func imageBuildCommand(f *imageFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "build --name NAME --from PATH",
		Short: "Build an image of a folder or a static program",
		Long: `Builds an image of one layer. PATH is a folder, which becomes the root, or a program
without shared libraries, which becomes /PROGRAM and the entry point. Files belong to
root and have no times, so the same content gives the same digest. The image is taken
in on this host, or with --layout put into the OCI layout of a folder.`,
		Example: `  seatrial image build --name web:v1 --from ./server --port 8080 --user 65532
  seatrial image build --name web:v1 --from ./rootfs --entrypoint /bin/server --entrypoint --verbose
  seatrial image build --name web:v1 --from ./server --layout out/web`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f.spec.Name = f.name
			img, err := image.Build(f.spec)
			if err != nil {
				return status{exitInput, err}
			}
			if f.layout != "" {
				if err := image.AddToLayout(f.layout, image.Named{Name: f.name, Image: img}); err != nil {
					return status{exitWorld, err}
				}
			} else if err := takeIn(c, f, img); err != nil {
				return err
			}
			digest, err := img.Digest()
			if err != nil {
				return status{exitWorld, err}
			}
			full, err := image.Canonical(f.name)
			fmt.Printf("%s %s\n", full, digest)
			return err
		},
	}
	c.Flags().StringVar(&f.name, "name", "", "name of the image")
	c.Flags().StringVar(&f.spec.From, "from", "", "a folder, or a program without shared libraries")
	c.Flags().StringArrayVar(&f.spec.Entrypoint, "entrypoint", nil, "what a container runs; once for each word")
	c.Flags().StringArrayVar(&f.spec.Cmd, "cmd", nil, "its arguments, unless a pod gives others; once for each")
	c.Flags().StringArrayVar(&f.spec.Env, "env", nil, "NAME=VALUE; once for each")
	c.Flags().StringVar(&f.spec.User, "user", "", "USER[:GROUP], names or numbers")
	c.Flags().StringVar(&f.spec.WorkDir, "workdir", "", "folder in which the program starts")
	c.Flags().StringArrayVar(&f.spec.Ports, "port", nil, "NUMBER or NUMBER/udp, for people to read; once for each")
	c.Flags().StringVar(&f.layout, "layout", "", "put it into the OCI layout of this folder instead; images of other names stay there")
	for _, needed := range []string{"name", "from"} {
		if err := c.MarkFlagRequired(needed); err != nil {
			panic(err)
		}
	}
	return c
}

func takeIn(c *cobra.Command, f *imageFlags, img v1.Image) error {
	s, err := image.Open(f.root, image.Config{})
	if err != nil {
		return status{exitWorld, err}
	}
	if _, err := s.Add(c.Context(), f.name, img); err != nil {
		return status{exitWorld, err}
	}
	return nil
}

func imageRemoveCommand(f *imageFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME...",
		Short: "Remove images of this host that no container uses",
		Example: `  seatrial image remove web:v1
  seatrial image remove sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`,
		Args: atLeast(1, "images"),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := f.open(c)
			if err != nil {
				return err
			}
			for _, ref := range args {
				if err := s.Remove(ref); err != nil {
					return status{exitInput, err}
				}
			}
			return nil
		},
	}
}

func imagePruneCommand(f *imageFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "prune",
		Short: "Remove all images of this host that no container uses",
		Long: `Removes all images that no container is made of, and prints their names. Nothing
removes images by itself: when the node says DiskPressure, this is what makes room. An
image that was imported, not pulled, has to be imported again before a pod can use it.`,
		Example: `  seatrial image prune`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := f.open(c)
			if err != nil {
				return err
			}
			list, err := s.Prune()
			if err != nil {
				return status{exitWorld, err}
			}
			var bytes int64
			for _, im := range list {
				bytes += im.Bytes
				for _, n := range im.Names {
					fmt.Println(n)
				}
			}
			fmt.Printf("%d images removed, %.1f MiB in their layers\n", len(list), float64(bytes)/(1<<20))
			return nil
		},
	}
}
