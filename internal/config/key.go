package config

import (
	"reflect"
	"strconv"
	"strings"
	"time"
)

// EnvPrefix begins the name of every variable that belongs to the server.
const EnvPrefix = "REEVE_"

// FileVariable names the configuration file in the environment; the flag is --config.
const FileVariable = EnvPrefix + "CONFIG"

// Key is one thing that can be set.
type Key struct {
	Name     string // in the file and in messages: "sandbox.memory_mb"
	Variable string // in the environment: "REEVE_SANDBOX_MEMORY_MB"
	Flag     string // without hyphens in front; empty: not on the command line, where others could read it
	Arg      string // what help pages call the flag's value: "host:port"
	Help     string // one line for people
	Default  string // as the file would have it; empty if there is none
	Form     string // what a value must look like: "a whole number"
	index    []int
}

var durationType = reflect.TypeFor[time.Duration]()

// Keys lists everything that can be set, in the order of Config.
func Keys() []Key {
	return keysOf(reflect.ValueOf(Default()), "", EnvPrefix, nil)
}

func keysOf(v reflect.Value, path, prefix string, index []int) []Key {
	var keys []Key
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := path + f.Tag.Get("yaml")
		at := append(index[:len(index):len(index)], i)
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(v.Field(i), name+".", prefix+f.Tag.Get("envPrefix"), at)...)
			continue
		}
		flag := f.Tag.Get("flag")
		switch flag {
		case "":
			flag = strings.NewReplacer(".", "-", "_", "-").Replace(name)
		case "-":
			flag = ""
		}
		keys = append(keys, Key{
			Name: name, Variable: prefix + f.Tag.Get("env"), Flag: flag,
			Arg: f.Tag.Get("arg"), Help: f.Tag.Get("help"), Default: defaultText(v.Field(i)), Form: formOf(f.Type), index: at,
		})
	}
	return keys
}

func defaultText(v reflect.Value) string {
	switch {
	case v.IsZero():
		return ""
	case v.Type() == durationType:
		return shortDuration(time.Duration(v.Int()))
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	}
	return v.String()
}

// shortDuration writes 10m, where Go writes 10m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// formOf describes the values of a type for people.
func formOf(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 90s, 10m or 1h30m"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Slice:
		return "a list of texts"
	}
	return "a text"
}

// nearest returns the known name that differs least from a mistyped one, if it is near enough to be
// what was meant.
func nearest(name string, known []string) (string, bool) {
	best, least := "", len(name)/3+1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= least {
			best, least = k, d-1
		}
	}
	return best, best != ""
}

// distance is the number of bytes to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
