// Package provider is the catalogue of models: it resolves the names that clients send to a
// configured vendor and that vendor's own model id, and builds the vendors' adapters.
//
// The names come from the built-in models.yaml, overlaid with the one in the data folder. The
// adapters live in folders of their own, one per kind; Guard watches over whatever they stream.
package provider
