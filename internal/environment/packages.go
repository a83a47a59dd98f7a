package environment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// unused is after which time packages that no sandbox was opened with are removed.
const unused = 30 * 24 * time.Hour

// manager is how one package manager installs into a folder of ours, and how its packages are found there.
type manager struct {
	program string // that must be on the machine
	command func(into string, packages []string) string
	bin     string            // its programs, below into
	env     map[string]string // variables that list folders, and the folder below into
}

// managers by their names in a recipe. All install without the rights of root; apt cannot.
var managers = map[string]manager{
	"cargo": {program: "cargo", bin: "bin", command: func(into string, packages []string) string {
		return "cargo install --root " + into + " " + words(packages)
	}},
	"gem": {program: "gem", bin: "bin", env: map[string]string{"GEM_PATH": ""}, command: func(into string, packages []string) string {
		return "gem install --no-document --install-dir " + into + " --bindir " + into + "/bin " + words(packages)
	}},
	"go": {program: "go", bin: "bin", command: func(into string, packages []string) string {
		var lines []string
		for _, p := range packages { // several at once would have to be of one module
			if !strings.Contains(p, "@") {
				p += "@latest"
			}
			lines = append(lines, "GOBIN="+into+"/bin GOFLAGS=-modcacherw go install "+quote(p))
		}
		return strings.Join(lines, " && ")
	}},
	"npm": {program: "npm", bin: "bin", env: map[string]string{"NODE_PATH": "/lib/node_modules"}, command: func(into string, packages []string) string {
		return "npm install --global --no-fund --no-audit --prefix " + into + " " + words(packages)
	}},
	"pip": {program: "python3", bin: "bin", env: map[string]string{"PYTHONPATH": ""}, command: func(into string, packages []string) string {
		return "python3 -m pip install --no-input --disable-pip-version-check --target " + into + " " + words(packages)
	}},
}

func words(packages []string) string {
	quoted := make([]string, len(packages))
	for i, p := range packages {
		quoted[i] = quote(p)
	}
	return strings.Join(quoted, " ")
}

func anyPackages(recipe core.EnvironmentConfig) bool {
	for _, list := range recipe.Packages {
		if len(list) > 0 {
			return true
		}
	}
	return false
}

// used lists the managers of a recipe that have something to install, in alphabetical order.
func used(recipe core.EnvironmentConfig) []string {
	names := slices.Sorted(maps.Keys(recipe.Packages))
	return slices.DeleteFunc(names, func(n string) bool { return len(recipe.Packages[n]) == 0 })
}

// usePackages shows the recipe's packages to a sandbox. They are installed once for an environment and what it
// lists, and shared by its sessions, which cannot write there.
func (s *Service) usePackages(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec, logs string) (core.SandboxSpec, error) {
	names := used(recipe)
	if len(names) == 0 {
		return spec, nil
	}
	for _, name := range names {
		if _, known := managers[name]; !known {
			return spec, core.Errorf(core.Unavailable, notReady, "the environment lists %s packages, which cannot be installed without the rights of root", name)
		}
	}
	listed, err := json.Marshal(recipe.Packages) // sorted by key
	if err != nil {
		return spec, fmt.Errorf("encode a list of packages: %w", err)
	}
	digest := sha256.Sum256(listed)
	of := filepath.Join(s.opts.Root, "packages", string(sess.Project), string(sess.Environment))
	folder := filepath.Join(of, hex.EncodeToString(digest[:16]))
	if err := s.install(ctx, sess, recipe, spec, folder); err != nil {
		return spec, err
	}
	now := s.opts.Now()
	_ = os.Chtimes(folder, now, now) // for prune
	said, err := os.ReadFile(filepath.Join(folder, "install.log"))
	if err != nil {
		return spec, fmt.Errorf("read the log of packages: %w", err)
	}
	if err := writeFile(filepath.Join(logs, "packages.log"), string(said)); err != nil {
		return spec, err
	}
	return withPackages(spec, filepath.Join(folder, "root"), names), nil
}

// withPackages puts the packages where programs look for them.
func withPackages(spec core.SandboxSpec, root string, names []string) core.SandboxSpec {
	spec.Mounts = append(spec.Mounts[:len(spec.Mounts):len(spec.Mounts)], core.Mount{Host: root, Path: packagePath, ReadOnly: true})
	path := spec.Env["PATH"]
	if path == "" {
		path = core.SandboxPath
	}
	for _, name := range slices.Backward(names) {
		m, into := managers[name], packagePath+"/"+name
		path = into + "/" + m.bin + ":" + path
		for variable, below := range m.env {
			if before := spec.Env[variable]; before != "" {
				spec.Env[variable] = into + below + ":" + before
			} else {
				spec.Env[variable] = into + below
			}
		}
	}
	spec.Env["PATH"] = path
	return spec
}

// install makes folder/root with the packages and folder/install.log, unless they are there. A folder appears
// under its name only when it is whole.
func (s *Service) install(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec, folder string) error {
	leave, err := s.busy.Enter(ctx, folder)
	if err != nil {
		return err
	}
	defer leave()
	if exists(folder) {
		return nil
	}
	if err := s.failed(folder); err != nil {
		return err
	}
	s.prune(filepath.Dir(folder))
	making := folder + ".making"
	if err := scrap(making); err != nil { // of a server that died
		return fmt.Errorf("clear the folder of packages: %w", err)
	}
	defer func() { _ = scrap(making) }()
	for _, sub := range []string{"root", "work"} {
		if err := os.MkdirAll(filepath.Join(making, sub), 0o755); err != nil {
			return fmt.Errorf("make the folder of packages: %w", err)
		}
	}
	said, err := s.build(ctx, sess, recipe, spec, making)
	if err != nil {
		return s.remember(folder, err)
	}
	if err := scrap(filepath.Join(making, "work")); err != nil {
		return fmt.Errorf("clear the folder of packages: %w", err)
	}
	if err := openToAll(filepath.Join(making, "root")); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(making, "install.log"), said); err != nil {
		return err
	}
	if err := os.Rename(making, folder); err != nil {
		return fmt.Errorf("name the folder of packages: %w", err)
	}
	return nil
}

// build installs in a sandbox of its own, which has the environment's network and none of the session's
// variables, files or secrets: what it makes is for other sessions, too.
func (s *Service) build(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec, making string) (said string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.opts.SetUpTime, errTooLong)
	defer cancel()
	stranger := sess
	stranger.VaultIDs, stranger.Snapshot = nil, nil
	own := core.SandboxSpec{
		Session: core.NewID[core.SessionID](), Folder: filepath.Join(making, "work"), Env: map[string]string{}, Limits: spec.Limits,
		Mounts: []core.Mount{{Host: filepath.Join(making, "root"), Path: packagePath}},
	}
	own = s.patient(s.connect(stranger, recipe, s.policy(stranger, recipe), own))
	sb, err := s.opts.Sandboxes.Sandbox(ctx, own)
	if err != nil {
		return "", s.late(ctx, err)
	}
	defer func() { err = keepFirst(err, s.opts.Sandboxes.Close(own.Session)) }()
	sb = s.Watch(own.Session, sb)
	var log strings.Builder
	for _, name := range used(recipe) {
		m := managers[name]
		command := m.command(packagePath+"/"+name, recipe.Packages[name])
		fmt.Fprintf(&log, "$ %s\n", command)
		res, err := sb.Bash(ctx, core.BashCommand{
			Command: "command -v " + m.program + " >/dev/null || { echo '" + m.program + " is not installed on this machine'; exit 127; }\n( " + command + " )",
			Timeout: s.opts.SetUpTime,
		})
		if err != nil {
			return "", s.late(ctx, err)
		}
		log.WriteString(text(res))
		if err := s.judge("the installation of the environment's "+name+" packages", res); err != nil {
			return "", err
		}
	}
	return log.String(), nil
}

var errTooLong = core.Errorf(core.Unavailable, notReady, "the installation of the environment's packages took too long and was stopped")

// late makes our own time limit an answer.
func (s *Service) late(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errTooLong) {
		return errTooLong
	}
	return err
}

func keepFirst(err, then error) error {
	if err != nil || then == nil {
		return err
	}
	return fmt.Errorf("close the sandbox in which packages were installed: %w", then)
}

// openToAll lets every sandbox read what one installed. Nothing in the tree runs any more; links are not
// followed.
func openToAll(root string) error {
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&(fs.ModeSymlink|fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if d.IsDir() || mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
	if err != nil {
		return fmt.Errorf("let sandboxes read packages: %w", err)
	}
	return nil
}

// prune removes an environment's packages that nobody used for long. What cannot be removed is tried again
// with the next installation.
func (s *Service) prune(of string) {
	entries, err := os.ReadDir(of)
	if err != nil {
		return // there are none yet
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && s.opts.Now().Sub(info.ModTime()) > unused {
			if err := scrap(filepath.Join(of, e.Name())); err != nil {
				s.opts.Log.Warn("old packages could not be removed", "folder", e.Name(), "err", err)
			}
		}
	}
}
