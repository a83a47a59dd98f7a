// Package skill keeps skills: folders with a SKILL.md and whatever it refers to, which agents read when
// they need them.
//
// It owns the rules, once for all faces: who may do what, what an upload may hold and how it is packed into
// one archive, what SKILL.md must say, how versions are numbered, and what may be deleted. Uploads are
// hostile until proven otherwise: paths, links, sizes and compression are checked before anything is kept,
// so that whoever unpacks an archive later may trust it.
//
// It leaves to others how a skill looks on the wire (internal/api), where its archive lies (internal/blob),
// which agents use it (internal/catalog) and how it gets into a sandbox.
package skill
