// Package blob keeps what is too large for the database: the content of files, the archives of skills.
//
// Folder is the driver for one machine, a folder beside the database. Depot is how services write: it notes
// in the database that bytes are on their way before the first of them is written, and deletes what in the
// end belongs to nothing, so that neither a crash nor a client that goes away leaves anything behind.
//
// It leaves to others whose the bytes are, who may read them and how many there may be.
package blob
