// Package workspace lays out what a session's sandbox sees: the working folder, and what parts bring into
// it: files, repositories, memories, skills.
package workspace
