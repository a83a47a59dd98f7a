package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/reeve-ai/reeve/internal/config"
)

// settingAnnotation marks flags that are settings of the server: their values are read by package config.
const settingAnnotation = "setting"

// headings of the configuration's sections on help pages.
var headings = map[string]string{
	"": "server", "log": "server", "database": "server", "cors": "server", "limits": "server", "egress": "server",
	"sandbox": "sandbox", "models": "models", "turns": "turns",
}

// configFlags gives a command the flags of the configuration whose key begins with one of the given
// sections or is one of them; none: all. Values are read by package config, so all flags are texts here.
func configFlags(c *cobra.Command, only ...string) {
	for _, k := range config.Keys() {
		section, _, nested := strings.Cut(k.Name, ".")
		if !nested {
			section = ""
		}
		if k.Flag == "" || len(only) > 0 && !slices.Contains(only, k.Name) {
			continue
		}
		c.Flags().String(k.Flag, k.Default, k.Help)
		f := c.Flags().Lookup(k.Flag)
		describe(f, headings[section], k.Arg)
		f.Annotations[settingAnnotation] = []string{k.Name}
	}
	c.Flags().String("config", "", "YAML file with any of these settings; also "+config.FileVariable)
	describe(c.Flags().Lookup("config"), headings[""], "file")
}

// configuration loads a command's configuration. The error is config.Mistakes.
func (p *program) configuration(c *cobra.Command) (config.Config, error) {
	flags := map[string]string{}
	for _, k := range config.Keys() {
		if f := lookup(c, k.Flag); f != nil && f.Changed && annotation(f, settingAnnotation) != "" {
			flags[k.Flag] = f.Value.String()
		}
	}
	file := ""
	if f := lookup(c, "config"); f != nil {
		file = f.Value.String()
	}
	return config.Load(config.Sources{File: file, Environ: p.environ, Flags: flags})
}

func lookup(c *cobra.Command, flag string) *pflag.Flag {
	if flag == "" {
		return nil
	}
	return c.Flags().Lookup(flag)
}
