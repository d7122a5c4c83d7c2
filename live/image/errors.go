package image

import "errors"

// What a caller may want to tell apart. They are wrapped with the name asked for.
var (
	ErrInvalidName  = errors.New("invalid image name")
	ErrNotFound     = errors.New("not found")
	ErrDenied       = errors.New("access denied")
	ErrInUse        = errors.New("in use by a container")
	ErrNotThisHost  = errors.New("not for this host's system and processor")
	ErrWrongContent = errors.New("content does not match its digest")
)
