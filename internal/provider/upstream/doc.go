// Package upstream holds what every adapter of a model vendor needs and none should write twice: the
// HTTP client, the translation of a vendor's error into a core.ModelError, the sign of life that
// provider.Guard listens to, and the plain-text form of content that a vendor cannot take.
//
// It knows no vendor's wire format: an adapter reads its own and hands over a Complaint.
package upstream
