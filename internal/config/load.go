package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Sources are where values come from, besides the defaults.
type Sources struct {
	// File is the YAML file; empty: FileVariable names it, or there is none.
	File string
	// Environ is the environment as os.Environ gives it.
	Environ []string
	// Flags are the flags that were given, by name without hyphens in front.
	Flags map[string]string
}

// Mistakes is the error of Load and Validate: everything that is wrong, one line each. Several lines
// only where a broken file is shown.
type Mistakes []string

func (m Mistakes) Error() string { return strings.Join(m, "\n") }

// vendorVariables are the vendors' own names for some keys. A REEVE_ variable wins over them.
var vendorVariables = map[string]string{
	"ANTHROPIC_API_KEY":  "models.anthropic_key",
	"ANTHROPIC_BASE_URL": "models.anthropic_base_url",
	"OPENAI_API_KEY":     "models.openai_key",
	"OPENAI_BASE_URL":    "models.openai_base_url",
}

// Load lays the sources over the defaults and validates the result. Data comes out as an absolute
// path, whatever it was: a working folder is named to processes that stand elsewhere. The error is
// Mistakes, whatever was wrong and however much.
func Load(from Sources) (Config, error) {
	l := loader{cfg: Default(), origin: map[string]string{}, broken: map[string]bool{}}
	environ := env.ToMap(from.Environ)
	file := from.File
	if file == "" {
		file = environ[FileVariable]
	}
	if file != "" {
		l.file(file)
	}
	l.environment(environ)
	l.flags(from.Flags)
	if l.cfg.Data != "" {
		if path, err := filepath.Abs(l.cfg.Data); err != nil {
			l.wrong("data", "data: %v", err)
		} else {
			l.cfg.Data = path
		}
	}
	for _, p := range l.cfg.problems() {
		if !l.broken[p.key] {
			l.mistakes = append(l.mistakes, p.text(l.origin[p.key]))
		}
	}
	if len(l.mistakes) > 0 {
		return Config{}, l.mistakes
	}
	return l.cfg, nil
}

type loader struct {
	cfg      Config
	origin   map[string]string // of each key that was set: "--listen", "REEVE_LISTEN", "reeve.yaml:3:9"
	broken   map[string]bool   // keys whose value could not be read: nothing more is said of them
	mistakes Mistakes
}

// wrong notes a mistake; key may be empty.
func (l *loader) wrong(key, format string, args ...any) {
	l.broken[key] = true
	l.mistakes = append(l.mistakes, fmt.Sprintf(format, args...))
}

// set gives one key a value in its textual form.
func (l *loader) set(k Key, value, origin string) {
	next := l.cfg
	err := env.ParseWithOptions(&next, env.Options{Prefix: EnvPrefix, Environment: map[string]string{k.Variable: value}})
	if err != nil {
		l.wrong(k.Name, "%s (%s): %q is not %s", k.Name, origin, value, k.Form)
		return
	}
	if value == "" { // the library takes an empty variable for an absent one
		field := reflect.ValueOf(&next).Elem().FieldByIndex(k.index)
		if field.Kind() != reflect.String && field.Kind() != reflect.Slice {
			l.wrong(k.Name, "%s (%s): is empty, but must be %s", k.Name, origin, k.Form)
			return
		}
		field.SetZero()
	}
	l.cfg = next
	l.origin[k.Name] = origin
	delete(l.broken, k.Name)
}

func (l *loader) environment(environ map[string]string) {
	keys := Keys()
	for _, name := range slices.Sorted(maps.Keys(vendorVariables)) {
		if value := environ[name]; value != "" {
			i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == vendorVariables[name] })
			l.set(keys[i], value, name)
		}
	}
	known := make([]string, 0, len(keys)+1)
	for _, k := range keys {
		known = append(known, k.Variable)
		if value, ok := environ[k.Variable]; ok {
			l.set(k, value, k.Variable)
		}
	}
	known = append(known, FileVariable)
	for _, name := range slices.Sorted(maps.Keys(environ)) {
		if strings.HasPrefix(name, EnvPrefix) && !slices.Contains(known, name) {
			l.wrong("", "%s: unknown variable%s", name, hint(name, known))
		}
	}
}

func (l *loader) flags(flags map[string]string) {
	keys := Keys()
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Flag == name })
		if i < 0 {
			l.wrong("", "--%s: unknown flag%s", name, FlagHint(name))
			continue
		}
		l.set(keys[i], flags[name], "--"+name)
	}
}

// FlagHint is the end of a message about an unknown flag: ": did you mean --listen?", or nothing.
func FlagHint(name string) string {
	var known []string
	for _, k := range Keys() {
		if k.Flag != "" {
			known = append(known, "--"+k.Flag)
		}
	}
	return hint("--"+name, known)
}

func hint(name string, known []string) string {
	if near, ok := nearest(name, known); ok {
		return ": did you mean " + near + "?"
	}
	return ""
}

func (l *loader) file(name string) {
	data, err := os.ReadFile(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		l.wrong("", "configuration file %s: no such file", name)
	case err != nil:
		l.wrong("", "configuration file: %v", err)
	default:
		l.yaml(name, data)
	}
}
