// Package deployment is the service for deployments: saved starts of sessions, which a schedule or somebody
// sets off, and the record of each start.
//
// It owns the rules of what a deployment is, when its schedule fires, and which failures end that. When the
// next fire is due is a column of the deployment's row; Run, on every node, looks for rows whose time has
// come (docs/decisions/0013-due-times-are-columns.md). What a session is made of it leaves to the session
// service.
package deployment
