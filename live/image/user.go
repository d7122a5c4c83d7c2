package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// userFileBytesMax is how long an image's /etc/passwd or /etc/group may be.
const userFileBytesMax = 1 << 20

// idMax is the greatest user or group number that is not one of the kernel's own.
const idMax = 1<<32 - 2

// User is who a container's process is.
type User struct {
	Name   string // as in the image's /etc/passwd; "" if it is not there
	UID    uint32
	GID    uint32
	Groups []uint32 // supplementary, of the image's /etc/group, sorted
	Home   string   // "/" if /etc/passwd says nothing
}

// ResolveUser looks a user up in the root file system's own /etc/passwd and /etc/group.
// Its form is that of an image's configuration: USER or USER:GROUP, names or numbers;
// "" is root. A number needs no line in the files; a name does. Links out of the root
// file system are refused.
func ResolveUser(rootfs, user string) (User, error) {
	u, err := resolveUser(rootfs, user)
	if err != nil {
		return User{}, fmt.Errorf("user %q of the image: %w", user, err)
	}
	return u, nil
}

func resolveUser(rootfs, user string) (User, error) {
	root, err := os.OpenRoot(rootfs)
	if err != nil {
		return User{}, err
	}
	defer root.Close()
	passwd, err := readUsers(root, "etc/passwd")
	if err != nil {
		return User{}, err
	}
	group, err := readUsers(root, "etc/group")
	if err != nil {
		return User{}, err
	}
	who, whoseGroup, withGroup := strings.Cut(user, ":")
	if who == "" {
		who = "0"
	}
	if withGroup && whoseGroup == "" {
		return User{}, errors.New("want USER or USER:GROUP")
	}
	u, err := findUser(passwd, who)
	if err != nil {
		return User{}, err
	}
	if withGroup {
		if u.GID, err = findGroup(group, whoseGroup); err != nil {
			return User{}, err
		}
	}
	u.Groups = groupsOf(group, u.Name)
	return u, nil
}

// findUser looks up a name, or else a number.
func findUser(passwd [][]string, who string) (User, error) {
	number, notNumber := parseID(who)
	for _, by := range []int{0, 2} { // a name may look like a number: it goes first
		for _, f := range passwd {
			if len(f) < 4 || f[by] != who {
				continue
			}
			uid, err := parseID(f[2])
			if err != nil {
				return User{}, fmt.Errorf("/etc/passwd: %w", err)
			}
			gid, err := parseID(f[3])
			if err != nil {
				return User{}, fmt.Errorf("/etc/passwd: %w", err)
			}
			u := User{Name: f[0], UID: uid, GID: gid, Home: "/"}
			if len(f) > 5 && strings.HasPrefix(f[5], "/") {
				u.Home = f[5]
			}
			return u, nil
		}
	}
	if notNumber != nil {
		return User{}, fmt.Errorf("there is no %q in its /etc/passwd, and it is no number", who)
	}
	return User{UID: number, Home: "/"}, nil
}

func findGroup(group [][]string, name string) (uint32, error) {
	for _, f := range group {
		if len(f) >= 3 && f[0] == name {
			gid, err := parseID(f[2])
			if err != nil {
				return 0, fmt.Errorf("/etc/group: %w", err)
			}
			return gid, nil
		}
	}
	gid, err := parseID(name)
	if err != nil {
		return 0, fmt.Errorf("there is no group %q in its /etc/group, and it is no number", name)
	}
	return gid, nil
}

// groupsOf are the groups that name a user as a member. A line that is wrong counts for
// nothing: images have such lines.
func groupsOf(group [][]string, user string) (out []uint32) {
	if user == "" {
		return nil
	}
	for _, f := range group {
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), user) {
			continue
		}
		if gid, err := parseID(f[2]); err == nil {
			out = append(out, gid)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > idMax {
		return 0, fmt.Errorf("%q: want a number from 0 to %d", s, uint32(idMax))
	}
	return uint32(n), nil
}

// readUsers reads a file of lines with colons; none is an empty one. It may be anything,
// a pipe that never ends included.
func readUsers(root *os.Root, file string) (lines [][]string, err error) {
	f, err := root.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("/%s is not a file", file)
	}
	raw, err := io.ReadAll(io.LimitReader(f, userFileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > userFileBytesMax {
		return nil, &LimitError{"userFileBytesMax", userFileBytesMax, "/" + file + " has too many bytes"}
	}
	for s := bufio.NewScanner(bytes.NewReader(raw)); s.Scan(); {
		if line := strings.TrimSpace(s.Text()); line != "" && line[0] != '#' {
			lines = append(lines, strings.Split(line, ":"))
		}
	}
	return lines, nil
}
