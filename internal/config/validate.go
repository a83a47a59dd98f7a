package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// problem is one value that is not allowed.
type problem struct{ key, what string }

// text is the line that people read; origin may be empty.
func (p problem) text(origin string) string {
	if origin != "" {
		return fmt.Sprintf("%s (%s): %s", p.key, origin, p.what)
	}
	return p.key + ": " + p.what
}

// Validate reports everything that is not allowed, as Mistakes, or nil.
func (c Config) Validate() error {
	var m Mistakes
	for _, p := range c.problems() {
		m = append(m, p.text(""))
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// check collects problems.
type check struct{ found []problem }

func (c *check) that(ok bool, key, format string, args ...any) {
	if !ok {
		c.found = append(c.found, problem{key, fmt.Sprintf(format, args...)})
	}
}

func (c *check) oneOf(key, value string, allowed ...string) {
	c.that(slices.Contains(allowed, value), key, "%q is not one of %s", value, strings.Join(allowed, ", "))
}

func (c *check) between(key string, value, low, high int) {
	c.that(value >= low && value <= high, key, "%d is not between %d and %d", value, low, high)
}

func (c *check) within(key string, value, low, high time.Duration) {
	c.that(value >= low && value <= high, key, "%s is not between %s and %s", shortDuration(value), shortDuration(low), shortDuration(high))
}

func (c *check) baseURL(key, value string) {
	if value == "" {
		return
	}
	u, err := url.Parse(value)
	c.that(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "",
		key, "%q is not a base URL such as https://host/v1", value)
}

func (c *check) prefixes(key string, values []string) {
	for _, value := range values {
		p, err := netip.ParsePrefix(value)
		c.that(err == nil && !p.Addr().Is4In6(), key, "%q is not a range of addresses such as 10.1.0.0/16", value)
	}
}

// hostPattern is a bare host name, or *. and a name.
var hostPattern = regexp.MustCompile(`^(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// problems lists what is not allowed, in the order of Keys.
func (c Config) problems() []problem {
	var k check
	host, port, err := net.SplitHostPort(c.Listen)
	n, bad := strconv.Atoi(port)
	k.that(err == nil && bad == nil && n >= 0 && n <= 65535 && !strings.ContainsAny(host, "/ "), "listen", "%q is not host:port", c.Listen)
	for _, address := range c.ListenAlso {
		host, port, err := net.SplitHostPort(address)
		n, bad := strconv.Atoi(port)
		k.that(err == nil && bad == nil && n >= 0 && n <= 65535 && !strings.ContainsAny(host, "/ "), "listen_also", "%q is not host:port", address)
	}
	k.that(c.Data != "", "data", "is empty, but must name a folder")
	k.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	k.oneOf("log.format", c.Log.Format, "text", "json")
	k.oneOf("sandbox.mode", c.Sandbox.Mode, SandboxAuto, SandboxBubblewrap, SandboxLandlock, SandboxNone)
	k.oneOf("sandbox.network", c.Sandbox.Network, NetworkOff, NetworkOn)
	for _, host := range c.Sandbox.PackageHosts {
		k.that(hostPattern.MatchString(host), "sandbox.package_hosts", "%q is not a host name, or *. and one", host)
	}
	k.prefixes("sandbox.allow_private", c.Sandbox.AllowPrivate)
	k.between("sandbox.memory_mb", c.Sandbox.MemoryMB, 64, 1<<20)
	k.between("sandbox.processes", c.Sandbox.Processes, 8, 1<<16)
	k.within("sandbox.command_timeout", c.Sandbox.CommandTimeout, time.Second, 24*time.Hour)
	k.within("sandbox.idle", c.Sandbox.Idle, time.Second, 24*time.Hour)
	k.baseURL("models.anthropic_base_url", c.Models.AnthropicBaseURL)
	k.baseURL("models.openai_base_url", c.Models.OpenAIBaseURL)
	k.baseURL("models.url", c.Models.ModelURL)
	k.that(c.Models.ModelKey == "" || c.Models.ModelURL != "", "models.key", "says nothing without models.url")
	k.that(c.Models.ModelName == "" || c.Models.ModelURL != "", "models.name", "says nothing without models.url")
	k.within("models.demo_delay", c.Models.DemoDelay, 0, 10*time.Second)
	k.between("turns.max_running", c.Turns.MaxRunning, 1, 100_000)
	k.between("turns.max_waiting", c.Turns.MaxWaiting, 1, 1_000_000)
	k.that(c.Turns.MaxWaiting >= c.Turns.MaxRunning, "turns.max_waiting", "%d is less than turns.max_running (%d)", c.Turns.MaxWaiting, c.Turns.MaxRunning)
	k.between("turns.max_steps", c.Turns.MaxSteps, 1, 100_000)
	k.between("turns.max_attempts", c.Turns.MaxAttempts, 1, 100)
	k.within("turns.soft_stop", c.Turns.SoftStop, time.Millisecond, time.Hour)
	k.within("turns.lease_ttl", c.Turns.LeaseTTL, time.Second, 10*time.Minute)
	k.oneOf("database.durability", c.Database.Durability, DurabilityNormal, DurabilityFull)
	for _, o := range c.CORS.AllowedOrigins {
		u, err := url.Parse(o)
		k.that(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Path == "" && u.RawQuery == "",
			"cors.allowed_origins", "%q is not an origin such as https://app.example", o)
	}
	k.that(c.Captures.Retention == 0 || c.Captures.Retention >= 24*time.Hour, "captures.retention", "%s is not 0s or at least 24h", shortDuration(c.Captures.Retention))
	for _, name := range c.Captures.RedactHeaders {
		k.that(name != "" && !strings.ContainsAny(name, " \t:,\"'"), "captures.redact_headers", "%q is not the name of a header", name)
	}
	k.prefixes("egress.allow_private", c.Egress.AllowPrivate)
	if c.Tools.SearchURL != "" {
		u, err := url.Parse(c.Tools.SearchURL)
		k.that(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.Fragment == "",
			"tools.search_url", "%q is not a URL such as http://127.0.0.1:8888/search", c.Tools.SearchURL)
	}
	k.between("limits.agent_rate", c.Limits.AgentRate, 1, 10_000_000)
	k.between("limits.agent_burst", c.Limits.AgentBurst, 1, 100_000_000)
	k.between("limits.agent_kb", c.Limits.AgentKB, 1, 1<<30)
	k.between("limits.agent_burst_kb", c.Limits.AgentBurstKB, 1, 1<<30)
	k.between("limits.create_per_minute", c.Limits.CreatePerMinute, 0, 10_000_000)
	k.between("limits.read_per_minute", c.Limits.ReadPerMinute, 0, 10_000_000)
	k.between("limits.max_streams", c.Limits.MaxStreams, 1, 10_000_000)
	return k.found
}
