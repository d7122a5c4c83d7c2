package certs

import (
	"fmt"

	clientcmd "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"
)

// Login is what a kubeconfig says: how to reach one cluster, as whom.
type Login struct {
	Cluster string // what the cluster, and the context, are called
	Server  string // "https://127.0.0.1:6443"
	CA      []byte // PEM of the certificates that the server's is checked by; none for http
	User    string // what the user is called in the file
	Client  *Pair  // the user's certificate; nil for none
	Token   string // or a bearer token
}

// Kubeconfig writes a login as a file for kubectl, with everything embedded
// (https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/).
// The file holds a private key or a token: only its owner may read it.
func Kubeconfig(l Login) ([]byte, error) {
	user := clientcmd.AuthInfo{Token: l.Token}
	if l.Client != nil {
		key, err := KeyPEM(l.Client.Key)
		if err != nil {
			return nil, err
		}
		user.ClientCertificateData, user.ClientKeyData = l.Client.CertPEM(), key
	}
	text, err := yaml.Marshal(clientcmd.Config{
		Kind: "Config", APIVersion: "v1", CurrentContext: l.Cluster,
		Clusters:  []clientcmd.NamedCluster{{Name: l.Cluster, Cluster: clientcmd.Cluster{Server: l.Server, CertificateAuthorityData: l.CA}}},
		AuthInfos: []clientcmd.NamedAuthInfo{{Name: l.User, AuthInfo: user}},
		Contexts:  []clientcmd.NamedContext{{Name: l.Cluster, Context: clientcmd.Context{Cluster: l.Cluster, AuthInfo: l.User}}},
	})
	if err != nil {
		return nil, fmt.Errorf("write a kubeconfig: %w", err)
	}
	return text, nil
}
