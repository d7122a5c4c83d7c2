package apiserver

import "net/http"

// pass lets the handler of one of Config.Paths answer.
func (c *call) pass(h http.Handler) {
	c.noDeadline()
	c.started, c.code = true, http.StatusOK
	h.ServeHTTP(&passing{c.w, c}, c.r)
}

// passing notes the status of an answer that another handler writes.
type passing struct {
	http.ResponseWriter
	c *call
}

// WriteHeader implements http.ResponseWriter.
func (p *passing) WriteHeader(code int) {
	p.c.code = code
	p.ResponseWriter.WriteHeader(code)
}

// Unwrap lets http.ResponseController reach the writer below.
func (p *passing) Unwrap() http.ResponseWriter { return p.ResponseWriter }
