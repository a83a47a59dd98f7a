package egress

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func machine(cidrs ...string) func() ([]net.Addr, error) {
	return func() ([]net.Addr, error) {
		var out []net.Addr
		for _, c := range cidrs {
			ip, n, err := net.ParseCIDR(c)
			if err != nil {
				return nil, err
			}
			out = append(out, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		return out, nil
	}
}

func TestOnlyPublicAddressesMayBeDialled(t *testing.T) {
	t.Parallel()
	g := gate{own: machine("127.0.0.1/8", "93.184.215.14/24", "2606:2800:21f::5/64")}
	for addr, public := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "9.255.255.255": true, "11.0.0.0": true, "93.184.215.15": true,
		"100.63.255.255": true, "100.128.0.0": true, "172.15.255.255": true, "172.32.0.0": true, "192.167.255.255": true,
		"192.169.0.0": true, "198.17.255.255": true, "198.20.0.0": true, "223.255.255.255": true, "192.31.196.1": true,
		"2606:4700:4700::1111": true, "2a00:1450:4001:80b::200e": true, "2620:fe::fe": true, "64:ff9b::8.8.8.8": true,
		"::ffff:8.8.8.8": true, "2606:2800:21f::6": true,

		"0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false, "10.255.255.255": false, "100.64.0.0": false,
		"100.100.100.200": false, "100.127.255.255": false, "127.0.0.1": false, "127.8.9.1": false, "168.63.129.16": false,
		"169.254.169.254": false, "169.254.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.0.0.192": false,
		"192.0.2.1": false, "192.88.99.1": false, "192.168.1.1": false, "198.18.0.1": false, "198.19.255.255": false,
		"198.51.100.7": false, "203.0.113.7": false, "224.0.0.1": false, "239.255.255.255": false, "240.0.0.1": false,
		"255.255.255.255": false,

		"::": false, "::1": false, "::127.0.0.1": false, "::8.8.8.8": false, "fe80::1": false, "fe80::1%eth0": false, "febf::1": false,
		"fec0::1": false, "fc00::1": false, "fd00:ec2::254": false, "fd20:ce::254": false, "ff02::1": false,
		"2001::1": false, "2001:0:4136:e378:8000:63bf:3fff:fdd2": false, "2001:20::1": false, "2001:db8::1": false,
		"3fff::1": false, "5f00::1": false, "100::1": false, "4000::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:0:127.0.0.1": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b::10.1.2.3": false, "64:ff9b:1::8.8.8.8": false,
		"2002:7f00:1::": false, "2002:a00:1::1": false, "2002:808:808::1": false,

		"93.184.215.14": false, "::ffff:93.184.215.14": false, "2606:2800:21f::5": false, // this machine's own
	} {
		err := g.check(netip.MustParseAddr(addr))
		var blocked *blockedError
		if public && err != nil || !public && !errors.As(err, &blocked) {
			t.Errorf("check(%s) = %v, public = %v", addr, err, public)
		}
	}
}

func TestOperatorsExceptionsOpenJustThat(t *testing.T) {
	t.Parallel()
	g := gate{own: machine("93.184.215.14/24"), allowed: []netip.Prefix{
		netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00:1::/32"), netip.MustParsePrefix("93.184.215.14/32"),
	}}
	for addr, open := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd00:1::9": true, "93.184.215.14": true,
		"10.2.0.1": false, "fd00:2::9": false, "127.0.0.1": false,
	} {
		if err := g.check(netip.MustParseAddr(addr)); (err == nil) != open {
			t.Errorf("check(%s) = %v, open = %v", addr, err, open)
		}
	}
}

func TestNothingIsDialledWhenOwnAddressesAreUnknown(t *testing.T) {
	t.Parallel()
	g := gate{own: machine("not an address")}
	if err := g.check(netip.MustParseAddr("8.8.8.8")); err == nil {
		t.Error("a check that could not be made must refuse")
	}
}
