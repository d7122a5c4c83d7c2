// Package openapi describes an API of Kubernetes types as OpenAPI documents, version 2
// and 3, by reflection: no generated file stands between the types and what kubectl
// explain says of them.
//
// It is a function of a Source. It neither serves nor keeps documents, and describes of
// the paths only what clients look for: the type behind a path, and which parameters a
// write takes.
package openapi
