package scenarios

import (
	"path"
	"strings"
	"time"
)

// StopMin is how long after TERM a process ends that heeds it, whatever the image says.
const StopMin = 100 * time.Millisecond

// UnknownImage is how an image behaves that no entry of the scenario matches.
func UnknownImage() Image {
	return Image{Match: "*", SizeBytes: 50 << 20, Startup: 300 * time.Millisecond}
}

// Behaviour is the first entry that matches an image's name, as a pod has it.
func (s *Scenario) Behaviour(image string) Image {
	for _, rule := range s.Images {
		if rule.Matches(image) {
			return rule
		}
	}
	return UnknownImage()
}

// Matches says whether the entry is about an image: * matches any run of characters,
// slashes included. A pattern without a tag matches every tag.
func (i *Image) Matches(image string) bool {
	if globMatches(i.Match, image) {
		return true
	}
	base := path.Base(image)
	if at := strings.LastIndexByte(base, ':'); at >= 0 && !strings.Contains(i.Match, ":") {
		image = image[:len(image)-len(base)+at]
	}
	return globMatches(i.Match, image) || globMatches(i.Match, "/"+image)
}

func globMatches(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	if !strings.HasPrefix(s, parts[0]) {
		return false
	}
	s = s[len(parts[0]):]
	for _, p := range parts[1 : len(parts)-1] {
		i := strings.Index(s, p)
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return strings.HasSuffix(s, parts[len(parts)-1])
}
