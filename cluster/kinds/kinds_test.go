package kinds

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"
)

// TestTranscripts plays testdata: the input is a manifest, the output what
// becomes of it.
//
//	decode           what was read, with lines and warnings
//	convert          the same after conversion to the stored version
//	default          ... and with defaults
//	validate         errors of the objects after defaults, with their lines
//	validate-update  two documents, old then new: errors of the change
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			return
		}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			docs, err := Decode("in.yaml", []byte(d.Input))
			if err != nil {
				return err.Error() + "\n"
			}
			switch d.Cmd {
			case "decode":
				return place(docs)
			case "convert":
				return place(docs) + dump(t, docs)
			case "default":
				defaultAll(t, docs)
				return dump(t, docs)
			case "validate":
				defaultAll(t, docs)
				return judge(docs)
			case "validate-update":
				defaultAll(t, docs)
				require.Len(t, docs, 2)
				return report(&docs[1], ValidateUpdate(docs[1].Object, docs[0].Object))
			}
			t.Fatalf("unknown command %q", d.Cmd)
			return ""
		})
	})
}

func place(docs []Document) string {
	var b strings.Builder
	for i := range docs {
		fmt.Fprintf(&b, "line %d: %s\n", docs[i].Line, docs[i].Ref)
		for _, w := range docs[i].Warnings {
			fmt.Fprintf(&b, "  warning: %s\n", w)
		}
	}
	return b.String()
}

// defaultAll does to objects what a server does before it judges them; twice,
// for the second time must change nothing.
func defaultAll(t *testing.T, docs []Document) {
	for i := range docs {
		o := docs[i].Object
		if o.GetNamespace() == "" && docs[i].Ref.Kind.Info().Namespaced {
			o.SetNamespace("default")
		}
		Default(o)
		once := Clone(o)
		Default(o)
		require.Empty(t, cmp.Diff(once, o), "Default is not idempotent")
	}
}

func dump(t *testing.T, docs []Document) string {
	var b strings.Builder
	for i := range docs {
		text, err := yaml.Marshal(WithType(docs[i].Object))
		require.NoError(t, err)
		if i > 0 {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	return b.String()
}

func judge(docs []Document) string {
	var b strings.Builder
	for i := range docs {
		b.WriteString(report(&docs[i], Validate(docs[i].Object)))
	}
	return b.String()
}

func report(d *Document, errs field.ErrorList) string {
	if len(errs) == 0 {
		return "ok\n"
	}
	var b strings.Builder
	for _, e := range errs {
		fmt.Fprintf(&b, "%d: %v\n", d.LineOf(e.Field), e)
	}
	return b.String()
}

const typicalPod = `
apiVersion: v1
kind: Pod
metadata:
  name: web-7d4f9c6b5d-abcde
  namespace: default
  uid: 11111111-2222-3333-4444-555555555555
  labels: {app: web, tier: front, pod-template-hash: 7d4f9c6b5d}
  annotations: {example.com/owner: shop}
  ownerReferences:
  - {apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4f9c6b5d, uid: 66666666-2222-3333-4444-555555555555, controller: true, blockOwnerDeletion: true}
spec:
  serviceAccountName: default
  nodeName: worker-1
  containers:
  - name: web
    image: registry.example.com/shop/web:1.2.3
    ports: [{name: http, containerPort: 8080}]
    env: [{name: GET_HOSTS_FROM, value: dns}, {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    resources: {requests: {cpu: 100m, memory: 128Mi}, limits: {cpu: 500m, memory: 256Mi}}
    readinessProbe: {httpGet: {path: /ready, port: http}}
    livenessProbe: {httpGet: {path: /live, port: http}}
    volumeMounts: [{name: config, mountPath: /etc/web}]
  - name: proxy
    image: proxy:v2
    resources: {requests: {cpu: 10m, memory: 16Mi}}
  volumes: [{name: config, configMap: {name: web}}]
  tolerations:
  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
`

func typical(tb testing.TB) Object {
	docs, err := Decode("pod.yaml", []byte(typicalPod))
	require.NoError(tb, err)
	Default(docs[0].Object)
	return docs[0].Object
}

// TestPlainPodIsFree holds the promise that a good pod costs no allocation.
func TestPlainPodIsFree(t *testing.T) {
	o := typical(t)
	require.Empty(t, Validate(o))
	require.Zero(t, testing.AllocsPerRun(100, func() { Validate(o) }), "Validate")
	require.Zero(t, testing.AllocsPerRun(100, func() { Default(o) }), "Default")
}

func BenchmarkValidatePod(b *testing.B) {
	o := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		Validate(o)
	}
}

func BenchmarkDefaultPod(b *testing.B) {
	o := typical(b)
	b.ReportAllocs()
	for b.Loop() {
		Default(o)
	}
}

func BenchmarkDecodePod(b *testing.B) {
	data := []byte(typicalPod)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode("pod.yaml", data); err != nil {
			b.Fatal(err)
		}
	}
}
