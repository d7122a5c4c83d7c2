package apiserver

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// apiScheme has the types that bodies are read into: client-go's, and the one old
// version whose Go type is gone.
var apiScheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := scheme.AddToScheme(s); err != nil {
		panic(err) // two types of one name in client-go itself
	}
	v2beta2 := schema.GroupVersion{Group: autoscalingv2.GroupName, Version: "v2beta2"}
	s.AddKnownTypeWithName(v2beta2.WithKind("HorizontalPodAutoscaler"), &autoscalingv2.HorizontalPodAutoscaler{})
	return s
}
