package proxy

import "github.com/reeve-ai/reeve/internal/core"

// Policy is which hosts a sandbox may reach. The zero value is none.
type Policy struct {
	Unrestricted bool     // every public host
	Hosts        []string // else these: names, or *. and a name for all below it
}

// Permits reports whether a host, without port, may be reached, as far as its name goes: its address is
// judged when it is dialled.
func (p Policy) Permits(host string) bool { return p.Unrestricted || core.HostAmong(p.Hosts, host) }
