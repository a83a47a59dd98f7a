package egress

import (
	"fmt"
	"net"
	"net/netip"
)

// global holds all public addresses of IPv6 (RFC 4291, section 2.4): the rest is private, local or
// reserved.
var global = netip.MustParsePrefix("2000::/3")

// nat64 holds IPv4 addresses in its last four bytes (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// special are the parts of the public space that are not the internet, by the IANA registries of
// special-purpose addresses (RFC 6890 and what followed), and an address that looks public and serves
// credentials to a cloud's own machines. The other such addresses lie in these ranges.
var special = prefixes(
	"0.0.0.0/8",        // this host
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; 100.100.100.200 is a metadata service
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // a metadata service
	"169.254.0.0/16",   // link-local; 169.254.169.254 is a metadata service
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; 192.0.0.192 is a metadata service
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"2001::/23",        // protocol assignments, Teredo among them
	"2001:db8::/32",    // documentation
	"2002::/16",        // 6to4: an IPv4 address in disguise
	"3fff::/20",        // documentation
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// blockedError says that an address must not be dialled.
type blockedError struct{ addr netip.Addr }

func (e *blockedError) Error() string { return fmt.Sprintf("%s is not a public address", e.addr) }

// gate decides which addresses may be dialled: the public internet without this machine's own
// addresses, behind which services may listen that trust it, and the operator's exceptions.
type gate struct {
	allowed []netip.Prefix
	own     func() ([]net.Addr, error) // this machine's, asked anew for each dial since they change
}

// check returns a blockedError for an address that must not be dialled, and another error when that
// could not be found out.
func (g gate) check(addr netip.Addr) error {
	plain := embedded(addr)
	for _, p := range g.allowed {
		if p.Contains(plain) {
			return nil
		}
	}
	if !public(plain) {
		return &blockedError{addr}
	}
	own, err := g.own()
	if err != nil {
		return fmt.Errorf("list this machine's addresses: %w", err)
	}
	for _, a := range own {
		p, err := netip.ParsePrefix(a.String())
		if err != nil {
			return fmt.Errorf("read this machine's address %s: %w", a, err)
		}
		if p.Addr().Unmap() == plain {
			return &blockedError{addr}
		}
	}
	return nil
}

// embedded returns the IPv4 address inside a mapped or translated one, and any other as it is.
func embedded(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

func public(addr netip.Addr) bool {
	if addr.Zone() != "" || addr.Is6() && !global.Contains(addr) {
		return false
	}
	for _, p := range special {
		if p.Contains(addr) {
			return false
		}
	}
	return true
}
