// Package serviceaccount sees to what every namespace has: the ServiceAccount
// "default", and the ConfigMap "kube-root-ca.crt" with the certificate by which pods
// know the API server, where there is one.
//
// A key is a Namespace. What is deleted or changed comes back.
package serviceaccount
