// Package statictoken knows the bearer tokens of a file, one a line:
//
//	token,user,uid,"group1,group2"
//
// as https://kubernetes.io/docs/reference/access-authn-authz/authentication/#static-token-file
// says. The tokens are good for ever; a server reads the file once, and hands its
// text over. Nothing that goes out of here, an error least of all, contains a
// token.
package statictoken
