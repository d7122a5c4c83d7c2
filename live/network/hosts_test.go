package network

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// TestFiles plays testdata/files.txt: hosts, resolv and hostname print what the pod in
// the input gets (YAML). The host's own files are set by "host hosts" and "host resolv",
// the cluster's DNS server by the argument dns; dns=none is a cluster without.
func TestFiles(t *testing.T) {
	own := map[string]string{}
	datadriven.RunTest(t, "testdata/files.txt", func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd == "host" {
			own[d.CmdArgs[0].Key] = d.Input + "\n"
			return ""
		}
		var pod corev1.Pod
		require.NoError(t, yaml.UnmarshalStrict([]byte(d.Input), &pod))
		switch d.Cmd {
		case "hosts":
			return Hosts(&pod, []string{"10.244.1.2"}, "cluster.local", own["hosts"])
		case "hostname":
			name, fqdn := Hostname(&pod, "cluster.local")
			return strings.TrimSpace(name+" "+fqdn) + "\n"
		case "resolv":
			dns := ClusterDNS{Servers: []string{"10.96.0.10"}, Domain: "cluster.local"}
			if d.HasArg("dns") {
				dns.Servers = nil
			}
			content, warnings := Resolv(&pod, dns, own["resolv"])
			for _, w := range warnings {
				content += "| " + w + "\n"
			}
			return content
		}
		t.Fatalf("there is no command %s", d.Cmd)
		return ""
	})
}
