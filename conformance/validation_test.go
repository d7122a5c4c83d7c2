package conformance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var validationEntries = []entry{
	{Group: "Field validation", Name: "Server side field validation, typed object",
		Codename: "[sig-api-machinery] FieldValidation should detect unknown and duplicate fields of a typed object", Test: unknownAndDuplicateFields},
	{Group: "Field validation", Name: "Server side field validation, typed unknown metadata",
		Codename: "[sig-api-machinery] FieldValidation should detect unknown metadata fields of a typed object", Test: unknownMetadata},
	{Group: "Field validation", Name: "Server side field validation, unknown fields CR no validation schema",
		Codename: "[sig-api-machinery] FieldValidation should create/apply a CR with unknown fields for CRD with no validation schema", Missing: noCRDs},
	{Group: "Field validation", Name: "Server side field validation, valid CR with validation schema",
		Codename: "[sig-api-machinery] FieldValidation should create/apply a valid CR for CRD with validation schema", Missing: noCRDs},
	{Group: "Field validation", Name: "Server side field validation, unknown fields CR fails validation",
		Codename: "[sig-api-machinery] FieldValidation should create/apply an invalid CR with extra properties for CRD with validation schema", Missing: noCRDs},
	{Group: "Field validation", Name: "Server side field validation, CR duplicates",
		Codename: "[sig-api-machinery] FieldValidation should detect duplicates in a CR when preserving unknown fields", Missing: noCRDs},
	{Group: "Field validation", Name: "Server side field validation, unknown metadata",
		Codename: "[sig-api-machinery] FieldValidation should detect unknown metadata fields in both the root and embedded object of a CR", Missing: noCRDs},
}

// deploymentWith makes the text of a deployment with something more in metadata and
// spec.
func deploymentWith(name, metadata, spec string) string {
	return fmt.Sprintf(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":%q,"labels":{"app":"x"}%s},
		"spec":{%s"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},
		"spec":{"containers":[{"name":"c","image":"demo/x:1"}]}}}}`, name, metadata, spec)
}

// post sends a deployment with strict validation of fields, and apply sends it as
// YAML that is to be applied.
func (c *cluster) post(text string) error {
	return c.kube.AppsV1().RESTClient().Post().Namespace(c.ns).Resource("deployments").Param("fieldValidation", "Strict").
		SetHeader("Content-Type", "application/json").Body([]byte(text)).Do(c.ctx).Error()
}

func (c *cluster) apply(name, text string) error {
	return c.kube.AppsV1().RESTClient().Patch("application/apply-patch+yaml").Namespace(c.ns).Resource("deployments").Name(name).
		Param("fieldValidation", "Strict").Param("fieldManager", "entry").Body([]byte(text)).Do(c.ctx).Error()
}

func unknownAndDuplicateFields(t *testing.T, c *cluster) {
	bad := deploymentWith("bad", "", `"replicas":1,"replicas":2,"unknownField":3,`)
	err := c.post(bad)
	require.True(t, apierrors.IsBadRequest(err), "%v", err)
	require.ErrorContains(t, err, `unknown field "spec.unknownField"`)
	require.ErrorContains(t, err, `duplicate field "spec.replicas"`)
	require.NoError(t, c.post(deploymentWith("good", "", `"replicas":0,`)))
	err = c.apply("bad", deploymentWith("bad", "", `"unknownField":3,`))
	require.ErrorContains(t, err, "unknownField")
	require.Error(t, c.apply("bad", deploymentWith("bad", "", `"replicas":1,"replicas":2,`)))
	require.NoError(t, c.apply("good", deploymentWith("good", "", "")))
}

func unknownMetadata(t *testing.T, c *cluster) {
	bad := deploymentWith("bad", `,"unknownMeta":"x"`, `"replicas":0,`)
	err := c.post(bad)
	require.True(t, apierrors.IsBadRequest(err), "%v", err)
	require.ErrorContains(t, err, `unknown field "metadata.unknownMeta"`)
	require.ErrorContains(t, c.apply("bad", bad), "unknownMeta")
}
