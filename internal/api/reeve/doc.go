// Package reeve is the face of Reeve's own API, below /reeve/v1: what no other dialect has. Its description in
// OpenAPI is made from the code and served at SpecPath. A resource has a file of its own, with its operations,
// its wire types and its calls of services; errors are problem details (RFC 9457) with the codes of core.Error.
package reeve
