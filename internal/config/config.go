// Package config is the configuration of a server: one struct, its defaults, where its values come
// from and what is allowed in it.
//
// Values are laid over each other in this order: defaults, the YAML file, the environment, flags. This
// is the only package that reads the environment's values; whoever needs one gets it from Config. An
// unknown key is a mistake, and all mistakes are reported at once.
package config

import "time"

// Config is everything that an operator can set. The yaml tag of a field is its key in the file and in
// messages ("sandbox.memory_mb"), the env tag its variable behind REEVE_, the flag tag its flag where
// that is not the key with hyphens, the arg tag what help pages call its value.
// docs/configuration.md lists them all; a test keeps it complete.
type Config struct {
	Listen string `yaml:"listen" env:"LISTEN" arg:"host:port" help:"Address to serve on, host:port. Port 0 picks a free one"`
	// ListenAlso is for clients whose address is built in: OTAS's Python SDK talks to localhost:8000 and
	// localhost:8002, because the original is two servers.
	ListenAlso []string `yaml:"listen_also" env:"LISTEN_ALSO" flag:"listen-also" arg:"host:port,…" help:"More addresses to serve everything on; OTAS's Python SDK reports to localhost:8002"`
	Data       string   `yaml:"data" env:"DATA" arg:"folder" help:"Folder that holds everything: database, keys, workspaces"`
	Log        Log      `yaml:"log" envPrefix:"LOG_"`
	Sandbox    Sandbox  `yaml:"sandbox" envPrefix:"SANDBOX_"`
	Models     Models   `yaml:"models" envPrefix:"MODELS_"`
	Turns      Turns    `yaml:"turns" envPrefix:"TURNS_"`
	Database   Database `yaml:"database" envPrefix:"DATABASE_"`
	CORS       CORS     `yaml:"cors" envPrefix:"CORS_"`
	Captures   Captures `yaml:"captures" envPrefix:"CAPTURES_"`
	Egress     Egress   `yaml:"egress" envPrefix:"EGRESS_"`
	Tools      Tools    `yaml:"tools" envPrefix:"TOOLS_"`
	Limits     Limits   `yaml:"limits" envPrefix:"LIMITS_"`
}

// Log is what the server writes to standard error.
type Log struct {
	Level  string `yaml:"level" env:"LEVEL" arg:"level" help:"debug, info, warn or error"`
	Format string `yaml:"format" env:"FORMAT" arg:"format" help:"text or json"`
}

// Modes of Sandbox.
const (
	SandboxAuto       = "auto"       // the strongest that works on this machine; never none
	SandboxBubblewrap = "bubblewrap" // namespaces, by the bwrap program
	SandboxLandlock   = "landlock"   // the kernel's file rules alone
	SandboxNone       = "none"       // no isolation: only for agents that are trusted like the operator
)

// Values of Sandbox.Network.
const (
	NetworkOff = "off"
	NetworkOn  = "on"
)

// Sandbox is where agents' commands run, and what they may use up.
type Sandbox struct {
	Mode           string        `yaml:"mode" env:"MODE" flag:"sandbox" arg:"mode" help:"auto, bubblewrap, landlock or none"`
	Network        string        `yaml:"network" env:"NETWORK" arg:"on|off" help:"on: sandboxes reach what their environment allows. off: nothing"`
	PackageHosts   []string      `yaml:"package_hosts" env:"PACKAGE_HOSTS" flag:"sandbox-package-hosts" arg:"host,…" help:"Hosts of package registries (names, or *.name) that environments with allow_package_managers reach"`
	AllowPrivate   []string      `yaml:"allow_private" env:"ALLOW_PRIVATE" flag:"sandbox-allow-private" arg:"prefix,…" help:"Private addresses (10.1.0.0/16) that sandboxes may reach; else only public ones"`
	MemoryMB       int           `yaml:"memory_mb" env:"MEMORY_MB" arg:"MiB" help:"Memory of one sandbox, MiB"`
	Processes      int           `yaml:"processes" env:"PROCESSES" arg:"n" help:"Processes in one sandbox at one time"`
	CommandTimeout time.Duration `yaml:"command_timeout" env:"COMMAND_TIMEOUT" arg:"time" help:"Longest run of one command"`
	Idle           time.Duration `yaml:"idle" env:"IDLE" arg:"time" help:"Close a sandbox that nobody used for so long; its files stay"`
}

// Models are the vendors' credentials. The vendors' own variables (ANTHROPIC_API_KEY,
// ANTHROPIC_BASE_URL, OPENAI_API_KEY, OPENAI_BASE_URL) are read too, below the REEVE_ ones.
type Models struct {
	AnthropicKey     string        `yaml:"anthropic_key" env:"ANTHROPIC_KEY" flag:"-" help:"Anthropic API key; also read from ANTHROPIC_API_KEY"`
	AnthropicBaseURL string        `yaml:"anthropic_base_url" env:"ANTHROPIC_BASE_URL" flag:"anthropic-base-url" arg:"URL" help:"Another address of the Anthropic API"`
	OpenAIKey        string        `yaml:"openai_key" env:"OPENAI_KEY" flag:"-" help:"OpenAI API key; also read from OPENAI_API_KEY"`
	OpenAIBaseURL    string        `yaml:"openai_base_url" env:"OPENAI_BASE_URL" flag:"openai-base-url" arg:"URL" help:"Another address of the OpenAI API"`
	ModelURL         string        `yaml:"url" env:"URL" flag:"model-url" arg:"URL" help:"Base URL of any OpenAI-compatible server, such as http://127.0.0.1:11434/v1"`
	ModelKey         string        `yaml:"key" env:"KEY" flag:"-" help:"Its API key, if it wants one"`
	ModelName        string        `yaml:"name" env:"NAME" flag:"model" arg:"name" help:"The model to ask it for"`
	DemoDelay        time.Duration `yaml:"demo_delay" env:"DEMO_DELAY" flag:"demo-delay" arg:"time" help:"Pause of the built-in demo model between two words"`
}

// Turns are the numbers of the runner.
type Turns struct {
	MaxRunning  int           `yaml:"max_running" env:"MAX_RUNNING" arg:"n" help:"Turns that run at one time; more wait"`
	MaxWaiting  int           `yaml:"max_waiting" env:"MAX_WAITING" arg:"n" help:"Turns that run or wait; more are refused with 429"`
	MaxSteps    int           `yaml:"max_steps" env:"MAX_STEPS" arg:"n" help:"Model calls in one turn"`
	MaxAttempts int           `yaml:"max_attempts" env:"MAX_ATTEMPTS" arg:"n" help:"Tries of one model call"`
	SoftStop    time.Duration `yaml:"soft_stop" env:"SOFT_STOP" arg:"time" help:"How long a stopping server lets turns finish"`
	LeaseTTL    time.Duration `yaml:"lease_ttl" env:"LEASE_TTL" arg:"time" help:"How long the turns of a dead server wait for another one"`
}

// Values of Database.Durability.
const (
	DurabilityNormal = "normal" // a commit survives the process; the last ones may be lost with the power
	DurabilityFull   = "full"   // a commit survives the power too
)

// Database is how the data is kept.
type Database struct {
	Durability string `yaml:"durability" env:"DURABILITY" arg:"level" help:"normal: a commit survives kill -9. full: and a power cut"`
}

// CORS is which web pages may have the browser add credentials. Any page may call the OTAS API with the
// keys that it knows itself; the other APIs answer no page of another origin yet.
type CORS struct {
	AllowedOrigins []string `yaml:"allowed_origins" env:"ALLOWED_ORIGINS" flag:"cors-origin" arg:"origin,…" help:"Origins whose pages may send credentials that the browser keeps, to the OTAS API"`
}

// Captures are the recorded calls of agents.
type Captures struct {
	Retention     time.Duration `yaml:"retention" env:"RETENTION" arg:"time" help:"Delete captures of days that ended so long ago. 0s: never"`
	RedactHeaders []string      `yaml:"redact_headers" env:"REDACT_HEADERS" flag:"captures-redact" arg:"name,…" help:"More headers whose values are replaced before a capture is stored"`
}

// Tools are what built-in tools need besides the server itself.
type Tools struct {
	SearchURL string `yaml:"search_url" env:"SEARCH_URL" flag:"tools-search-url" arg:"URL" help:"Search address of a SearXNG server with its JSON format on, such as http://127.0.0.1:8888/search, for web_search; without it agents have no web_search"`
}

// Egress is what the server itself may reach beyond the public internet. Pages that agents fetch gain nothing
// by it.
type Egress struct {
	AllowPrivate []string `yaml:"allow_private" env:"ALLOW_PRIVATE" arg:"prefix,…" help:"Private addresses (10.1.0.0/16) where MCP servers, token endpoints, webhooks and repositories may be; else only public ones are reached"`
}

// Limits bound what clients can hold.
type Limits struct {
	AgentRate  int `yaml:"agent_rate" env:"AGENT_RATE" arg:"n" help:"Captures and sessions of one agent in a second; more are refused with 429"`
	AgentBurst int `yaml:"agent_burst" env:"AGENT_BURST" arg:"n" help:"How many of them at once, after a pause"`
	// AgentKB and AgentBurstKB are the same for the size of captures.
	AgentKB      int `yaml:"agent_kb" env:"AGENT_KB" flag:"limits-agent-kb" arg:"KiB" help:"Captures of one agent in a second, KiB; more are refused with 429"`
	AgentBurstKB int `yaml:"agent_burst_kb" env:"AGENT_BURST_KB" flag:"limits-agent-burst-kb" arg:"KiB" help:"How much of it at once, after a pause"`
	// CreatePerMinute and ReadPerMinute are for the managed APIs.
	CreatePerMinute int `yaml:"create_per_minute" env:"CREATE_PER_MINUTE" flag:"limits-create-per-minute" arg:"n" help:"Writing requests of one token in a minute, managed APIs; more are refused with 429. 0: not bounded"`
	ReadPerMinute   int `yaml:"read_per_minute" env:"READ_PER_MINUTE" flag:"limits-read-per-minute" arg:"n" help:"Reading requests of one token in a minute, managed APIs; more are refused with 429. 0: not bounded"`
	MaxStreams      int `yaml:"max_streams" env:"MAX_STREAMS" arg:"n" help:"Event streams open at one time; more are refused with 429"`
}

// Default returns the configuration of a server that was told nothing.
func Default() Config {
	return Config{
		Listen: "127.0.0.1:8000",
		Data:   "./reeve-data",
		Log:    Log{Level: "info", Format: "text"},
		Sandbox: Sandbox{
			Mode: SandboxAuto, Network: NetworkOff, MemoryMB: 1024, Processes: 256,
			CommandTimeout: 2 * time.Minute, Idle: 10 * time.Minute,
		},
		Models: Models{DemoDelay: 25 * time.Millisecond},
		Turns: Turns{
			MaxRunning: 512, MaxWaiting: 10_000, MaxSteps: 200, MaxAttempts: 6,
			SoftStop: 10 * time.Second, LeaseTTL: 10 * time.Second,
		},
		Database: Database{Durability: DurabilityNormal},
		Captures: Captures{Retention: 90 * 24 * time.Hour},
		Limits:   Limits{AgentRate: 1000, AgentBurst: 10_000, AgentKB: 4 << 10, AgentBurstKB: 64 << 10, MaxStreams: 10_000},
	}
}
