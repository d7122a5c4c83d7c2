// Command ask fetches a URL, each time on a new connection, and prints what it answers:
// a program for pods and hosts that needs no library.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	times := flag.Int("times", 1, "how often")
	timeout := flag.Duration("timeout", 3*time.Second, "for one request")
	flag.Parse()
	c := http.Client{Timeout: *timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	failed := false
	for _, url := range flag.Args() {
		for range *times {
			if err := ask(&c, url); err != nil {
				fmt.Fprintln(os.Stderr, err)
				failed = true
			}
		}
	}
	if failed {
		os.Exit(1)
	}
}

func ask(c *http.Client, url string) error {
	resp, err := c.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, resp.Status)
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}
