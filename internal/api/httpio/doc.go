// Package httpio is what every face needs to speak HTTP: reading and checking JSON bodies, writing
// answers, request ids, server-sent events, and the border that turns a panic into an error.
// It knows no dialect: how an error looks is each face's own business.
package httpio
