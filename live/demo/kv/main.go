// Command kv is a key-value server: GET, PUT and DELETE of /KEY, and GET / for all keys,
// a line each. With --dir it keeps each value in a file of that folder, and has
// acknowledged a write only when it is on the disk.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Limits.
const (
	keyBytesMax   = 100
	valueBytesMax = 1 << 20
	keysMax       = 100_000
)

type store struct {
	mu     sync.Mutex
	values map[string][]byte
	dir    string
}

func main() {
	listen := flag.String("listen", ":8080", "address to listen on")
	dir := flag.String("dir", "", "folder to keep values in; none keeps them in memory")
	flag.Parse()
	if err := run(*listen, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kv:", err)
		os.Exit(1)
	}
}

func run(listen, dir string) error {
	s := &store{values: map[string][]byte{}, dir: dir}
	if err := s.load(); err != nil {
		return err
	}
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	ended := make(chan error, 1)
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	go func() { ended <- h.Serve(l) }()
	fmt.Printf("listening on %s with %d keys\n", l.Addr(), len(s.values))
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return h.Shutdown(last)
}

// load reads what an earlier process kept. What it had not finished is dropped.
func (s *store) load() error {
	if s.dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		file := filepath.Join(s.dir, e.Name())
		if filepath.Ext(file) == ".new" {
			if err := os.Remove(file); err != nil {
				return err
			}
			continue
		}
		key, err := hex.DecodeString(e.Name())
		if err != nil || e.IsDir() {
			continue // not ours
		}
		if s.values[string(key)], err = os.ReadFile(file); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	m.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, k := range slices.Sorted(maps.Keys(s.values)) {
			fmt.Fprintln(w, k)
		}
	})
	m.HandleFunc("GET /{key}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		v, ok := s.values[r.PathValue("key")]
		s.mu.Unlock()
		if !ok {
			http.Error(w, "there is no such key", http.StatusNotFound)
			return
		}
		w.Write(v)
	})
	m.HandleFunc("PUT /{key}", s.put)
	m.HandleFunc("DELETE /{key}", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		key := r.PathValue("key")
		if s.dir != "" {
			if err := os.Remove(s.file(key)); err != nil && !errors.Is(err, os.ErrNotExist) {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		delete(s.values, key)
	})
	return m
}

func (s *store) put(w http.ResponseWriter, r *http.Request) {
	key := r.PathValue("key")
	if len(key) > keyBytesMax {
		http.Error(w, fmt.Sprintf("a key of %d bytes: want at most %d", len(key), keyBytesMax), http.StatusBadRequest)
		return
	}
	value, err := io.ReadAll(http.MaxBytesReader(w, r.Body, valueBytesMax))
	if err != nil {
		http.Error(w, fmt.Sprintf("read the value (at most %d bytes): %v", valueBytesMax, err), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.values[key]; !there && len(s.values) >= keysMax {
		http.Error(w, fmt.Sprintf("there are %d keys, more are not kept", keysMax), http.StatusInsufficientStorage)
		return
	}
	if s.dir != "" {
		if err := keep(s.file(key), value); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	s.values[key] = value
}

func (s *store) file(key string) string {
	return filepath.Join(s.dir, hex.EncodeToString([]byte(key)))
}

func keep(file string, value []byte) error {
	f, err := os.Create(file + ".new")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(value); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
