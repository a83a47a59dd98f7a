package environment

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress/proxy"
)

// Places inside of sandboxes.
const (
	trustPath   = "/mnt/reeve/trust"
	trustFile   = "ca-bundle.pem"
	packagePath = "/mnt/reeve/packages"
	logPath     = "/mnt/reeve/log"
)

// proxyEnv tells programs where the gateway is. Node looks at it only if it is told to.
var proxyEnv = map[string]string{
	"HTTP_PROXY": "http://" + core.GatewayAddress, "http_proxy": "http://" + core.GatewayAddress,
	"HTTPS_PROXY": "http://" + core.GatewayAddress, "https_proxy": "http://" + core.GatewayAddress,
	"NO_PROXY": "localhost,127.0.0.1,::1", "no_proxy": "localhost,127.0.0.1,::1",
	"NODE_USE_ENV_PROXY": "1",
}

// trustEnv are the variables by which programs learn which authorities to believe.
var trustEnv = []string{
	"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO",
}

// reserved are names that no secret may take.
var reserved = func() map[string]bool {
	names := map[string]bool{"PATH": true, "HOME": true, "LANG": true, "TERM": true, "USER": true, "PYTHONPATH": true, "NODE_PATH": true, "GEM_PATH": true}
	for name := range proxyEnv {
		names[name] = true
	}
	for _, name := range trustEnv {
		names[name] = true
	}
	return names
}()

// policy is what a session's sandbox may reach.
func (s *Service) policy(sess core.Session, recipe core.EnvironmentConfig) proxy.Policy {
	n := recipe.Networking
	switch {
	case !s.opts.Network || recipe.SelfHosted:
		return proxy.Policy{}
	case !n.Limited:
		return proxy.Policy{Unrestricted: true}
	}
	hosts := append([]string{}, n.AllowedHosts...)
	if n.AllowMCPServers && sess.Snapshot != nil {
		for _, server := range sess.Snapshot.MCPServers {
			if u, err := url.Parse(server.URL); err == nil && u.Hostname() != "" {
				hosts = append(hosts, u.Hostname())
			}
		}
	}
	if n.AllowPackageManagers {
		hosts = append(hosts, s.opts.PackageHosts...)
	}
	return proxy.Policy{Hosts: hosts}
}

// unreachable lists the secrets of which a host is not let through.
func (s *Service) unreachable(variables []Variable, policy proxy.Policy) []core.UnreachableSecret {
	var out []core.UnreachableSecret
	for _, v := range variables {
		u := core.UnreachableSecret{Vault: v.Vault, Secret: v.Secret, Name: v.Name}
		if !s.opts.Network || !s.opts.Namespaces {
			out = append(out, u)
			continue
		}
		for _, host := range v.Terms.Hosts {
			if v.Terms.Limited && !policy.Unrestricted && !lets(policy.Hosts, host) {
				u.Host = host
				out = append(out, u)
				break
			}
		}
	}
	return out
}

// lets reports whether anything that a secret's host stands for is among the allowed ones.
func lets(allowed []string, host string) bool {
	below, wild := strings.CutPrefix(strings.ToLower(host), "*.")
	if !wild {
		return core.HostAmong(allowed, host)
	}
	for _, a := range allowed {
		a = strings.ToLower(a)
		if a == "*."+below || strings.HasSuffix(strings.TrimPrefix(a, "*"), "."+below) || core.HostAmong([]string{a}, "x."+below) {
			return true
		}
	}
	return false
}

// connect gives a spec its way out.
func (s *Service) connect(sess core.Session, recipe core.EnvironmentConfig, policy proxy.Policy, spec core.SandboxSpec) core.SandboxSpec {
	if !s.opts.Network || recipe.SelfHosted {
		return spec
	}
	if !s.opts.Namespaces {
		spec.Network = policy.Unrestricted
		return spec
	}
	for name, value := range proxyEnv {
		spec.Env[name] = value
	}
	o := proxy.Options{Policy: policy, Egress: s.opts.Egress, Log: s.opts.Log.With("session", spec.Session), Now: s.opts.Now, Fresh: s.opts.Fresh}
	if s.opts.Secrets != nil && len(sess.VaultIDs) > 0 {
		o.Authority = s.authority
		o.Secrets = func(ctx context.Context) ([]proxy.Secret, error) {
			variables, err := s.variables(ctx, sess)
			if err != nil {
				return nil, err
			}
			secrets := make([]proxy.Secret, len(variables))
			for i, v := range variables {
				secrets[i] = proxy.Secret{Placeholder: s.placeholder(sess.ID, v.Secret), Value: v.Value, Terms: v.Terms}
			}
			return secrets, nil
		}
		spec.Mounts = append(spec.Mounts[:len(spec.Mounts):len(spec.Mounts)], core.Mount{Host: s.trustFolder(), Path: trustPath, ReadOnly: true})
		for _, name := range trustEnv {
			spec.Env[name] = trustPath + "/" + trustFile
		}
	}
	spec.Gateway = gateway{o, s, spec.Session}
	return spec
}

// gateway makes one for each life of a session's sandbox, which can be asked what it refused for as long as it
// serves.
type gateway struct {
	options proxy.Options
	service *Service
	session core.SessionID
}

// Serve implements core.Gateway.
func (g gateway) Serve(l net.Listener) {
	serving := proxy.New(g.options)
	g.service.mu.Lock()
	g.service.live[g.session] = serving
	g.service.mu.Unlock()
	defer func() {
		g.service.mu.Lock()
		defer g.service.mu.Unlock()
		if g.service.live[g.session] == serving {
			delete(g.service.live, g.session)
		}
	}()
	serving.Serve(l)
}

func (s *Service) trustFolder() string { return filepath.Join(s.opts.Root, "trust") }

// bundles is where systems keep the authorities that they believe.
var bundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// writeTrust writes what sandboxes with secrets believe: what the machine does, and our own authority.
func (s *Service) writeTrust() error {
	var believed []byte
	for _, path := range bundles {
		if b, err := os.ReadFile(path); err == nil {
			believed = append(b, '\n')
			break
		}
	}
	folder := s.trustFolder()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("make the folder of certificates: %w", err)
	}
	temp := filepath.Join(folder, "."+trustFile)
	if err := os.WriteFile(temp, append(believed, s.authority.PEM()...), 0o644); err != nil { //nolint:gosec // certificates are public
		return fmt.Errorf("write the certificates: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(folder, trustFile)); err != nil {
		return fmt.Errorf("write the certificates: %w", err)
	}
	return nil
}
