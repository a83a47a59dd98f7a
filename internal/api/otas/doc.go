// Package otas is the face that speaks the API of OTAS: users, projects, agents with their keys, and
// sessions that agents open for themselves. The contract is the reference otas.md, and above it the
// seed pages 000, 001 and 004.
//
// It translates, and owns no rule. Where it departs from what the original does, the reason is a
// defect listed in section 8 of the reference, and the place says which. What an error looks like is
// decided in errors.go alone.
package otas
