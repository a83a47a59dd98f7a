// Package identity is the service for people, projects, memberships, keys and tokens: it answers who
// is calling, for every face.
//
// It owns the rules of how a secret looks, how it is kept and when it stops working. What a caller
// may do with a thing is decided by the service that owns the thing, from the core.Principal that
// this package returns.
//
// Whatever is wrong with a credential, the caller learns only that it does not work: never whether
// it is unknown, revoked, expired or belongs to something switched off. A failure of the store is
// never reported as a bad credential, because clients throw away credentials that are refused.
package identity
