// Package vault is the service for vaults and the secrets in them. It owns what a secret may be, how it is
// sealed, that it is never shown again, and that the access token of an MCP server is refreshed in time.
//
// Nothing that leaves it holds a secret but the results of Match, Renew and EnvironmentSecrets, which are for
// the server's own MCP client and for egress: they must reach no sandbox, log, event, error or answer. The
// types of those results write themselves without the secret.
package vault
