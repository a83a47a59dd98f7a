// Package store is core.Store in SQL: SQLite in the data folder.
//
// It owns the schema (package migrations), the transactions and the one place where errors of the
// database become core.Errors. It knows no rule of the services and announces nothing: what has to
// happen after a commit is the caller's business.
//
// Every query is written once, in the subset of SQL that SQLite and PostgreSQL share: $1
// placeholders, RETURNING, ON CONFLICT, row values. What differs between them is a method of engine.
// The promises of core.Store are proven by package storetest.
package store
