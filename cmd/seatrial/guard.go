package main

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"seatrial.dev/seatrial/cluster/apiserver"
	"seatrial.dev/seatrial/cluster/apiserver/identity"
	"seatrial.dev/seatrial/cluster/auth/audit"
	"seatrial.dev/seatrial/cluster/auth/auditfile"
	"seatrial.dev/seatrial/cluster/auth/satoken"
	"seatrial.dev/seatrial/cluster/auth/statictoken"
)

// guardFlags say who may use a served cluster.
type guardFlags struct {
	insecure  bool
	remote    bool // insecure for other machines too
	modes     string
	tokens    string
	audit     string
	anonymous bool
}

// The names of the flags that --insecure leaves nothing to do for.
var guards = []string{"authorization-mode", "token-auth-file", "audit-log", "anonymous-auth"}

func (f *guardFlags) add(s *pflag.FlagSet) {
	s.BoolVar(&f.insecure, "insecure", false, "plain HTTP, and whoever reaches it may do everything")
	s.BoolVar(&f.remote, "insecure-allow-remote", false, "let --insecure listen on an address that other machines reach")
	f.addUsers(s)
}

// addUsers adds the flags that say who the users are.
func (f *guardFlags) addUsers(s *pflag.FlagSet) {
	s.StringVar(&f.modes, "authorization-mode", "Node,RBAC", "who decides what users may do: AlwaysAllow, AlwaysDeny, Node, RBAC, parted by commas")
	s.StringVar(&f.tokens, "token-auth-file", "", `file of bearer tokens, a line each: token,user,uid,"group1,group2"`)
	s.StringVar(&f.audit, "audit-log", "", "write a line of JSON for each request to this file")
	s.BoolVar(&f.anonymous, "anonymous-auth", true, "let requests without credentials be those of system:anonymous; off with AlwaysAllow unless asked for")
}

// guard is what the flags ask for. It is nil with --insecure.
type guard struct {
	cfg    identity.Config
	issuer *satoken.Issuer
}

// read checks the flags and reads the files that they name.
func (f *guardFlags) read(c *cobra.Command) (*guard, error) {
	if f.insecure {
		for _, name := range guards {
			if c.Flags().Changed(name) {
				return nil, fmt.Errorf("--%s says who may use the cluster, and --insecure lets everyone: leave one out", name)
			}
		}
		return nil, nil
	}
	if f.remote {
		return nil, errors.New("--insecure-allow-remote is for --insecure")
	}
	key, err := satoken.DrawKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	issuer, err := satoken.NewIssuer(satoken.Preset(clusterDomain), key)
	if err != nil {
		return nil, err
	}
	cfg, err := f.users(c)
	if err != nil {
		return nil, err
	}
	return &guard{cfg, issuer}, nil
}

// clusterDomain names the API server in tokens of service accounts.
const clusterDomain = "cluster.local"

// users reads the flags that addUsers added, and the files that they name.
func (f *guardFlags) users(c *cobra.Command) (cfg identity.Config, err error) {
	modes, err := identity.ParseModes(f.modes)
	if err != nil {
		return cfg, fmt.Errorf("--authorization-mode: %w", err)
	}
	cfg = identity.Config{Modes: modes, Anonymous: f.anonymous, Now: time.Now, Problem: func(err error) { fmt.Fprintln(os.Stderr, "seatrial:", err) }}
	if !c.Flags().Changed("anonymous-auth") && len(modes) == 1 && modes[0] == identity.AlwaysAllow {
		cfg.Anonymous = false // as Kubernetes does it
	}
	if f.tokens != "" {
		text, err := os.ReadFile(f.tokens)
		if err != nil {
			return cfg, fmt.Errorf("--token-auth-file: %w", err)
		}
		var warnings []string
		if cfg.Tokens, warnings, err = statictoken.Parse(f.tokens, text, satoken.Preset(clusterDomain).Audiences); err != nil {
			return cfg, err
		}
		for _, w := range warnings {
			fmt.Fprintln(os.Stderr, "seatrial: warning:", w)
		}
	}
	if f.audit != "" {
		if cfg.Audit, err = auditfile.Open(f.audit, audit.Preset()); err != nil {
			return cfg, fmt.Errorf("--audit-log: %w", err)
		}
	}
	return cfg, nil
}

// identity makes the guard that of a cluster with these keys.
func (g *guard) identity(c apiserver.Cluster, k *keys) (*identity.Identity, error) {
	g.cfg.Clients = []*x509.Certificate{k.authority.Cert}
	return identity.New(c, g.issuer, g.cfg)
}
