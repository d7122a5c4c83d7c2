package apiserver

import (
	"errors"
	"io"
	"net/http"
)

// flush sends what has been written; false if the client has gone. A writer that
// cannot flush keeps nothing back.
func (c *call) flush() bool {
	err := c.conn.Flush()
	return err == nil || errors.Is(err, http.ErrNotSupported)
}

// stream copies a reader to the client as it comes, to its end or to that of the
// connection.
func (c *call) stream(r io.Reader) error {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			c.deadline()
			if _, werr := c.w.Write(buf[:n]); werr != nil {
				return nil // the client has gone, who could be told
			}
			c.flush()
			c.noDeadline()
		}
		if err != nil {
			return nil // the end, or too late for a status
		}
	}
}
