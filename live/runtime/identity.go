package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/user"
)

const userFileBytesMax = 4 << 20

// DefaultCapabilities are those of a container that asks for nothing.
func DefaultCapabilities() []string {
	return []string{
		"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
		"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
	}
}

// AllCapabilities stands, in a list, for all that the host has.
const AllCapabilities = "CAP_ALL"

// Capabilities are the default ones without drop and with add, sorted. Names come
// with or without CAP_, in any case; ALL in drop empties the list first, ALL in add
// answers AllCapabilities without drop.
func Capabilities(add, drop []string) []string {
	add, drop = capabilityNames(add), capabilityNames(drop)
	var out []string
	if !slices.Contains(drop, AllCapabilities) {
		out = DefaultCapabilities()
	}
	out = slices.DeleteFunc(out, func(c string) bool { return slices.Contains(drop, c) })
	out = append(out, add...)
	slices.Sort(out)
	return slices.Compact(out)
}

func capabilityNames(list []string) []string {
	out := make([]string, 0, len(list))
	for _, c := range list {
		out = append(out, "CAP_"+strings.TrimPrefix(strings.ToUpper(c), "CAP_"))
	}
	return out
}

// User is who a container runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // beyond GID, as the image's /etc/group says
}

// ResolveUser reads the user of an image's configuration ("", "1000", "web",
// "web:staff") in the /etc/passwd and /etc/group of its root file system, whose
// symbolic links are not followed out of it.
func ResolveUser(rootfs, name string) (User, error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return User{}, err
	}
	defer root.Close()
	passwd, err := userFile(root, "etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := userFile(root, "etc/group")
	if err != nil {
		return User{}, err
	}
	found, err := user.GetExecUser(name, &user.ExecUser{}, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		return User{}, &Error{Kind: KindInvalid, Text: fmt.Sprintf("user %q of the image: %v", name, err)}
	}
	out := User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, g := range found.Sgids {
		out.Groups = append(out.Groups, uint32(g))
	}
	return out, nil
}

// userFile reads a file that may be missing, and may be anything an image can hold.
func userFile(root *os.Root, name string) (string, error) {
	info, err := root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > userFileBytesMax {
		return "", &Error{Kind: KindInvalid, Text: fmt.Sprintf("/%s of the image: want a regular file of %d bytes at most", name, userFileBytesMax)}
	}
	f, err := root.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, userFileBytesMax))
	return string(data), err
}
