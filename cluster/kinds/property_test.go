package kinds

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// drawn fills a value at random: every field of every kind has a chance, so
// that the properties hold for what nobody thought of. Types with a form of
// their own are drawn from values that survive being written.
func drawn(t *rapid.T, v reflect.Value, depth int) {
	if !v.CanSet() {
		return
	}
	switch v.Addr().Interface().(type) {
	case *resource.Quantity:
		v.Set(reflect.ValueOf(resource.MustParse(rapid.SampledFrom([]string{"1", "250m", "64Mi", "3k", "0"}).Draw(t, "quantity"))))
		return
	case *intstr.IntOrString:
		v.Set(reflect.ValueOf(rapid.SampledFrom([]intstr.IntOrString{intstr.FromInt32(3), intstr.FromString("25%"), intstr.FromString("http")}).Draw(t, "intstr")))
		return
	case *metav1.Time, *metav1.MicroTime, *metav1.FieldsV1, *metav1.TypeMeta, *[]metav1.ManagedFieldsEntry:
		return
	}
	if v.Type().Name() == "RawExtension" {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			drawn(t, v.Field(i), depth+1)
		}
	case reflect.Pointer:
		if depth < 14 && rapid.IntRange(0, 5).Draw(t, "set") == 0 {
			v.Set(reflect.New(v.Type().Elem()))
			drawn(t, v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth < 14 && rapid.IntRange(0, 4).Draw(t, "set") == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			drawn(t, v.Index(0), depth+1)
		}
	case reflect.Map:
		if rapid.IntRange(0, 4).Draw(t, "set") == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			value := reflect.New(v.Type().Elem()).Elem()
			drawn(t, value, depth+1)
			v.SetMapIndex(reflect.ValueOf(word(t)).Convert(v.Type().Key()), value)
		}
	case reflect.String:
		v.SetString(word(t))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int32, reflect.Int64:
		v.SetInt(int64(rapid.IntRange(-2, 70000).Draw(t, "int")))
	case reflect.Uint8:
		v.SetUint(7)
	}
}

func word(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "web", "Always", "TCP", "RollingUpdate", "10.0.0.1", "yes", "no", "0644", "1e3", "null", "a: b", "é", "with\ttab", "latest"}).Draw(t, "word")
}

func drawObject(t *rapid.T) Object {
	info := rapid.SampledFrom(All()).Draw(t, "kind")
	o := info.New()
	drawn(t, reflect.ValueOf(o).Elem(), 0)
	return o
}

func TestDefaultIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject(t)
		Default(o)
		once := Clone(o)
		Default(o)
		if diff := cmp.Diff(once, o); diff != "" {
			t.Fatalf("the second Default changed\n%s", diff)
		}
	})
}

// TestWrittenIsRead: what is written as YAML or JSON is read back the same.
func TestWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject(t)
		asJSON, err := json.Marshal(WithType(o))
		if err != nil {
			t.Fatal(err)
		}
		asYAML, err := yaml.JSONToYAML(asJSON)
		if err != nil {
			t.Fatal(err)
		}
		want := Of(o).Info().New()
		if err := json.Unmarshal(asJSON, want); err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{asJSON, asYAML} {
			docs, err := Decode("x", text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(WithType(docs[0].Object), want); len(docs) != 1 || diff != "" {
				t.Fatalf("read otherwise than written\n%s\n%s", text, diff)
			}
		}
	})
}

// TestJudgingIsRepeatable: equal objects get equal errors in equal order, no
// object makes Validate panic, and none is changed by it.
func TestJudgingIsRepeatable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := drawObject(t)
		if rapid.Bool().Draw(t, "defaults") {
			Default(o)
		}
		before := Clone(o)
		first := fmt.Sprint(Validate(o), ValidateUpdate(o, before))
		if again := fmt.Sprint(Validate(Clone(o)), ValidateUpdate(Clone(o), before)); again != first {
			t.Fatalf("%s\n%s", first, again)
		}
		if diff := cmp.Diff(before, o); diff != "" {
			t.Fatalf("Validate changed the object\n%s", diff)
		}
	})
}

// TestQuickNames holds the quick rules to the slow ones of the API machinery.
func TestQuickNames(t *testing.T) {
	rules := []struct {
		name  string
		quick func(string) bool
		slow  func(string) []string
	}{
		{"label", isLabel, validation.IsDNS1123Label},
		{"subdomain", isSubdomain, validation.IsDNS1123Subdomain},
		{"label value", isLabelValue, validation.IsValidLabelValue},
		{"qualified", isQualified, func(s string) []string { return validation.IsQualifiedName(s) }},
		{"key", isKey, validation.IsConfigMapKey},
		{"env", isEnvName, validation.IsRelaxedEnvVarName},
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[aZ0._/=\- ]{0,6}`).Draw(t, "name")
		if rapid.IntRange(0, 9).Draw(t, "long") == 0 {
			s += strings.Repeat("a", rapid.SampledFrom([]int{55, 60, 63, 250, 253}).Draw(t, "length"))
		}
		for _, r := range rules {
			if slow := r.slow(s); r.quick(s) != (len(slow) == 0) {
				t.Fatalf("%s %q: quick %v, slow %v", r.name, s, r.quick(s), slow)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(typicalPod))
	f.Add([]byte("{\"apiVersion\": \"v1\",\n\t\"kind\": \"List\", \"items\": [{}]}"))
	f.Add([]byte("apiVersion: v1\nkind: ConfigMap\ndata: &a {<<: *a, x: *a}\n"))
	f.Add([]byte("apiVersion: extensions/v1beta1\nkind: Ingress\nspec: {rules: [{http: {paths: [{}]}}]}\n"))
	f.Add([]byte("- [*x, {? a : b}]\n--- !!binary x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := Decode("fuzz", data)
		if err != nil {
			require.Empty(t, docs)
			return
		}
		for i := range docs {
			Default(docs[i].Object)
			for _, e := range Validate(docs[i].Object) {
				docs[i].LineOf(e.Field)
			}
		}
	})
}

func BenchmarkValidateUpdatePodStatus(b *testing.B) {
	old := typical(b).(*corev1.Pod)
	n := *old
	n.Status.Phase = corev1.PodRunning
	b.ReportAllocs()
	for b.Loop() {
		ValidateUpdate(&n, old)
	}
}
