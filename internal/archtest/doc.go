// Package archtest holds no code, only tests of the program's shape: which package may import which
// (docs/architecture.md), and what must not be linked into the binary.
package archtest
