package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build makes all that a run needs and is not there yet.
func build(ctx context.Context, work string) error {
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	if err := command(ctx, "make", "-C", repository, "build", "kubectl").Run(); err != nil {
		return fmt.Errorf("make build kubectl: %w", err)
	}
	for _, p := range []struct {
		name string
		args []string
		cgo  string
	}{
		{"ginkgo", []string{"build", "github.com/onsi/ginkgo/v2/ginkgo"}, "0"},
		{"agnhost", []string{"build", "-trimpath", "k8s.io/kubernetes/test/images/agnhost"}, "0"},
		{"nnp", []string{"build", "-trimpath", "k8s.io/kubernetes/test/images/nonewprivs"}, "0"},
		{"e2e.test", []string{"test", "-c", "./suite"}, "1"},
	} {
		fmt.Fprintf(os.Stderr, "building %s (minutes, the first time)\n", p.name)
		args := append([]string{p.args[0], "-ldflags", "-s -w", "-o", filepath.Join(work, p.name)}, p.args[1:]...)
		c := command(ctx, "go", args...)
		c.Env = append(os.Environ(), "CGO_ENABLED="+p.cgo)
		if err := c.Run(); err != nil {
			return fmt.Errorf("building %s: %w", p.name, err)
		}
	}
	return images(ctx, work)
}

// suite is the release of Debian below the large images, so that they stay the same.
const suite = "bookworm"

// userland are Debian's packages in the large images.
const userland = "curl,bind9-dnsutils,netcat-openbsd,iproute2,nginx-light,procps,iputils-ping,socat,wget"

// images makes the layout of the lab's images, unless it is there.
func images(ctx context.Context, work string) error {
	layout := filepath.Join(work, "images")
	if _, err := os.Stat(layout); err == nil {
		return nil
	}
	names, err := imageNames(ctx, work)
	if err != nil {
		return err
	}
	small, large := filepath.Join(work, "small"), filepath.Join(work, "large")
	if err := smallRoot(ctx, small); err != nil {
		return err
	}
	if err := largeRoot(ctx, work, large); err != nil {
		return err
	}
	seatrial := filepath.Join(repository, "bin", "seatrial")
	fresh := layout + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return err
	}
	for _, im := range []struct {
		name string // without registry and tag
		from string
		args []string
	}{
		{"busybox", small, []string{"--cmd", "sh"}},
		{"nginx", large, []string{"--cmd", "nginx", "--cmd", "-g", "--cmd", "daemon off;"}},
		{"glibc-dns-testing", large, []string{"--cmd", "bash"}},
		{"perl", large, []string{"--cmd", "bash"}},
		{"agnhost", large, []string{"--entrypoint", "/agnhost", "--cmd", "pause"}},
		{"pause", large, []string{"--entrypoint", "/agnhost", "--cmd", "pause"}},
		{"kitten", large, []string{"--entrypoint", "/agnhost", "--cmd", "test-webserver"}},
		{"nautilus", large, []string{"--entrypoint", "/agnhost", "--cmd", "test-webserver"}},
		{"nonroot", large, []string{"--entrypoint", "/agnhost", "--cmd", "pause", "--user", "1234"}},
		{"nonewprivs", large, []string{"--cmd", "nnp"}},
	} {
		if err := ownFiles(im.name, large); err != nil {
			return err
		}
		for i, full := range names[im.name] {
			args := append([]string{"image", "build", "--layout", fresh, "--name", full, "--from", im.from}, im.args...)
			// Two tags of one name are two images: a rollout goes from one to the other.
			args = append(args, "--env", fmt.Sprintf("IMAGE_NUMBER=%d", i))
			if err := command(ctx, seatrial, args...).Run(); err != nil {
				return fmt.Errorf("image %s: %w", full, err)
			}
		}
	}
	return os.Rename(fresh, layout)
}

// imageNames are the names that the tests ask for, by their last part.
func imageNames(ctx context.Context, work string) (map[string][]string, error) {
	raw, err := exec.CommandContext(ctx, filepath.Join(work, "e2e.test"), "--list-images").Output()
	if err != nil {
		return nil, fmt.Errorf("e2e.test --list-images: %w", err)
	}
	names := map[string][]string{}
	for _, full := range strings.Fields(string(raw)) {
		name, _, _ := strings.Cut(full[strings.LastIndexByte(full, '/')+1:], ":")
		names[name] = append(names[name], full)
	}
	return names, nil
}

// smallRoot is busybox with a shell that keeps every variable it was given.
func smallRoot(ctx context.Context, root string) error {
	if err := command(ctx, "apt-get", "install", "-y", "-qq", "busybox-static", "bash-static", "debootstrap").Run(); err != nil {
		return fmt.Errorf("apt-get install: %w", err)
	}
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	for _, d := range []string{"bin", "etc", "root", "usr/bin", "var", "tmp"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	bin := filepath.Join(root, "bin")
	applets, err := exec.CommandContext(ctx, "busybox", "--list").Output()
	if err != nil {
		return fmt.Errorf("busybox --list: %w", err)
	}
	for _, a := range strings.Fields(string(applets)) {
		if a != "busybox" && a != "sh" {
			if err := os.Symlink("busybox", filepath.Join(bin, a)); err != nil {
				return err
			}
		}
	}
	return errors.Join(
		copyFile("/bin/busybox", filepath.Join(bin, "busybox"), 0o755),
		copyFile("/bin/bash-static", filepath.Join(bin, "sh"), 0o755),
		os.Chmod(filepath.Join(root, "tmp"), 0o777|fs.ModeSticky),
		os.WriteFile(filepath.Join(root, "etc", "passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"), 0o644),
		os.WriteFile(filepath.Join(root, "etc", "group"), []byte("root:x:0:\nnobody:x:65534:\n"), 0o644),
	)
}

// largeRoot is Debian with upstream's test programs.
func largeRoot(ctx context.Context, work, root string) error {
	if err := os.RemoveAll(root); err != nil {
		return err
	}
	if err := command(ctx, "debootstrap", "--variant=minbase", "--include="+userland, suite, root).Run(); err != nil {
		return fmt.Errorf("debootstrap: %w", err)
	}
	for _, d := range []string{"dev", "proc", "var/cache/apt/archives", "var/lib/apt/lists"} {
		if err := os.RemoveAll(filepath.Join(root, d)); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	// Users and groups that agnhost's image has, for tests of supplementary groups.
	if err := appendTo(filepath.Join(root, "etc", "passwd"), "user-defined-in-image:x:1000:1000::/home:/bin/sh\n"); err != nil {
		return err
	}
	if err := appendTo(filepath.Join(root, "etc", "group"), "user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"); err != nil {
		return err
	}
	source, err := upstreamImages(ctx)
	if err != nil {
		return err
	}
	nnp := filepath.Join(root, "usr", "local", "bin", "nnp")
	return errors.Join(
		copyFile(filepath.Join(work, "agnhost"), filepath.Join(root, "agnhost"), 0o755),
		os.Symlink("agnhost", filepath.Join(root, "agnhost-2")),
		os.MkdirAll(filepath.Join(root, "uploads"), 0o755),
		copyFile(filepath.Join(source, "agnhost", "porter", "localhost.crt"), filepath.Join(root, "localhost.crt"), 0o644),
		copyFile(filepath.Join(source, "agnhost", "porter", "localhost.key"), filepath.Join(root, "localhost.key"), 0o644),
		copyFile(filepath.Join(work, "nnp"), nnp, 0o755),
		os.Chmod(nnp, 0o755|fs.ModeSetuid),
	)
}

// ownFiles puts the pages of the two images that serve one.
func ownFiles(name, root string) error {
	if name != "kitten" && name != "nautilus" {
		return nil
	}
	source, err := upstreamImages(context.Background())
	if err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(source, name, "html", "*"))
	if err != nil || len(pages) == 0 {
		return fmt.Errorf("the pages of %s: %w", name, errors.Join(err, fs.ErrNotExist))
	}
	for _, p := range pages {
		if err := copyFile(p, filepath.Join(root, filepath.Base(p)), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// upstreamImages is where the sources of upstream's images are.
func upstreamImages(ctx context.Context) (string, error) {
	raw, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "k8s.io/kubernetes").Output()
	if err != nil {
		return "", fmt.Errorf("go list k8s.io/kubernetes: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(raw)), "test", "images"), nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	raw, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return os.WriteFile(to, raw, mode)
}

func appendTo(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
