//go:build linux

package main

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"seatrial.dev/seatrial/cluster/api"
	"seatrial.dev/seatrial/cluster/auth/bootstraptoken"
	"seatrial.dev/seatrial/cluster/auth/certs"
	"seatrial.dev/seatrial/cluster/kinds"
	"seatrial.dev/seatrial/live/client"
	"seatrial.dev/seatrial/live/server"
)

func tokenCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "token",
		Short: "The tokens with which hosts join a real cluster: create, list, delete",
		Long: `The tokens with which hosts join a real cluster. They are secrets of the cluster
(bootstrap.kubernetes.io/token in kube-system); whoever has one can make a node.`,
		Example: `  seatrial token create
  seatrial token create --ttl 1h --description rack-7
  seatrial token list
  seatrial token delete abcdef`,
	}
	c.PersistentFlags().StringVar(&file, "kubeconfig", "", "of an administrator (default $KUBECONFIG, else "+filepath.Join(server.DefaultDir, "admin.kubeconfig")+")")
	c.AddCommand(tokenCreateCommand(&file), tokenListCommand(&file), tokenDeleteCommand(&file))
	return onlyVerbs(c)
}

func tokenCreateCommand(file *string) *cobra.Command {
	var span time.Duration
	var description, output string
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a token and print the command with which a host joins by it",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if span < 0 {
				return status{exitInput, fmt.Errorf("--ttl %v: want 0 (it never ends) or more", span)}
			}
			if output != "" && output != "json" {
				return status{exitInput, fmt.Errorf("--output %q: want json, or nothing for the command", output)}
			}
			at, err := openLogin(*file)
			if err != nil {
				return status{exitInput, err}
			}
			token, secret, err := server.NewToken(time.Now(), span, description)
			if err != nil {
				return status{exitWorld, err}
			}
			if _, err := at.client.Do(c.Context(), api.Create(secret)); err != nil {
				return status{exitWorld, fmt.Errorf("create the token: %w", err)}
			}
			return printToken(os.Stdout, output, at, token)
		},
	}
	c.Flags().DurationVar(&span, "ttl", server.TokenSpan, "how long it is good for; 0 for ever")
	c.Flags().StringVar(&description, "description", "", "what it is for, for people")
	c.Flags().StringVarP(&output, "output", "o", "", "json: the parts by name")
	return c
}

func printToken(w io.Writer, output string, at *login, token string) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(map[string]string{"server": at.server, "token": token, "caHash": at.caHash})
	}
	_, err := fmt.Fprintf(w, "seatrial agent --server %s --token %s --ca-hash %s\n", at.server, token, at.caHash)
	return err
}

func tokenListCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "The tokens by their first halves, until when they are good, and what for",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			at, err := openLogin(*file)
			if err != nil {
				return status{exitInput, err}
			}
			list, _, err := at.client.List(c.Context(), kinds.Secret, client.Selection{Namespace: metav1.NamespaceSystem, Fields: "type=" + string(corev1.SecretTypeBootstrapToken)})
			if err != nil {
				return status{exitWorld, err}
			}
			t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
			fmt.Fprintln(t, "TOKEN\tEXPIRES\tDESCRIPTION")
			for _, o := range list {
				d := o.(*corev1.Secret).Data
				fmt.Fprintf(t, "%s\t%s\t%s\n", d["token-id"], cmp.Or(string(d["expiration"]), "never"), d["description"])
			}
			return t.Flush()
		},
	}
}

func tokenDeleteCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "delete TOKEN",
		Short: "Delete a token, whole or by its first half; hosts that have joined stay",
		Args:  exactly(1, "a token"),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := openLogin(*file)
			if err != nil {
				return status{exitInput, err}
			}
			id, _, _ := strings.Cut(args[0], ".")
			ref := kinds.Ref{Kind: kinds.Secret, Key: kinds.Key{Namespace: metav1.NamespaceSystem, Name: bootstraptoken.SecretPrefix + id}}
			if _, err := at.client.Do(c.Context(), api.Delete(ref, "")); err != nil {
				return status{exitWorld, fmt.Errorf("delete token %s: %w", id, err)}
			}
			return nil
		},
	}
}

// login is a cluster as a kubeconfig tells it.
type login struct {
	server string
	caHash string
	client *client.Client
}

func openLogin(file string) (*login, error) {
	file = cmp.Or(file, os.Getenv("KUBECONFIG"), filepath.Join(server.DefaultDir, "admin.kubeconfig"))
	cfg, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	if err := rest.LoadTLSFiles(cfg); err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	if len(cfg.CAData) == 0 || len(cfg.CertData) == 0 || len(cfg.KeyData) == 0 {
		return nil, fmt.Errorf("--kubeconfig %s: want one with a certificate authority and a client certificate, as seatrial server writes it", file)
	}
	ca, err := certs.ParseCerts(cfg.CAData)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: certificate authority: %w", file, err)
	}
	pair, err := tls.X509KeyPair(cfg.CertData, cfg.KeyData)
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: client certificate: %w", file, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca[0])
	k, err := client.New(client.Config{Server: strings.TrimSuffix(cfg.Host, "/"), CA: pool, Certificate: &pair, UserAgent: "seatrial"})
	if err != nil {
		return nil, fmt.Errorf("--kubeconfig %s: %w", file, err)
	}
	return &login{cfg.Host, server.CAHash(ca[0]), k}, nil
}
