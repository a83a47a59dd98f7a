// Package egress fetches pages of the internet for agents. All that is fetched on an agent's word
// goes through a Client, which keeps the agent away from what only this machine or its network can
// reach: every address is checked after the name was resolved, at the moment of dialling, so that a
// name which changes its address between a check and the call gains nothing. Size, time and redirects
// are bounded.
//
// A Client holds no cookies, sends no credentials, uses no proxy from the environment and, unless
// it was made for one project and server alone (Options.KeepAlive), keeps no connection, so nothing of one
// project's fetch reaches another's.
package egress
