// Package image keeps the container images of one host: it takes them from registries,
// from OCI layouts and from `docker save` archives, and gives containers root file
// systems made of them. It also builds small images, without a daemon.
//
// A Store is a folder. In it are
//
//	blobs/sha256/HEX   manifests and configurations, by digest
//	layers/HEX/fs      unpacked layers, one folder by diff ID, shared by all containers
//	index.json         which name stands for which manifest
//	mounts/            which container is made of which manifest
//	containers/ID      what one container has written, and its rootfs
//	tmp/               what is being unpacked; leftovers of a crash are swept by Open
//
// Compressed layers are not kept: a layer goes from its source straight into a folder
// below tmp, which takes its place in layers by a rename once its digest has been found
// right and it is on the disk. So what is in layers is whole. Several processes may use
// one store; they meet in file locks.
//
// Names are those of Kubernetes: "web" is docker.io/library/web:latest, a first element
// with a dot, a colon or the word localhost is a registry, and an image is found by any
// spelling of its name, by its digest and by its ID (the digest of its configuration).
//
// What comes from outside is not believed: every digest is checked, every size has a
// limit (Limits), and a layer cannot reach out of its folder, whatever its entries are
// called and wherever its links point (unpack.go says what is refused).
//
// The package runs on Linux, and needs root to unpack and to mount. It does not run
// containers and does not decide when to pull: the agent does.
package image
