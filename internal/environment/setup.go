package environment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// notReady is the code of what a recipe cannot have.
const notReady = "environment_not_ready"

// setUpOutput is how much of what a package manager or a script prints is kept.
const setUpOutput = 1 << 20

// tail is how many bytes of it a message repeats.
const tail = 2000

func sessionKey(session core.SessionID) string { return "session " + string(session) }

// setUp does once what the recipe wants done, and completes the spec with what came of it. What is done is
// marked on the host, where no sandbox writes; a server that dies in the middle does it again.
func (s *Service) setUp(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec) (core.SandboxSpec, error) {
	if recipe.SelfHosted || recipe.SetupScript == "" && !anyPackages(recipe) {
		return spec, nil
	}
	key := sessionKey(sess.ID)
	leave, err := s.busy.Enter(ctx, key)
	if err != nil {
		return spec, err
	}
	defer leave()
	if err := s.failed(key); err != nil {
		return spec, err
	}
	logs := filepath.Join(s.sessionFolder(sess.ID), "log")
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return spec, fmt.Errorf("make the folder of logs: %w", err)
	}
	if spec, err = s.usePackages(ctx, sess, recipe, spec, logs); err != nil {
		return spec, s.remember(key, err)
	}
	spec.Mounts = append(spec.Mounts[:len(spec.Mounts):len(spec.Mounts)], core.Mount{Host: logs, Path: logPath, ReadOnly: true})
	return spec, s.remember(key, s.runScript(ctx, sess, recipe, spec, logs))
}

// runScript runs the setup script in the session's own sandbox, unless it was.
func (s *Service) runScript(ctx context.Context, sess core.Session, recipe core.EnvironmentConfig, spec core.SandboxSpec, logs string) error {
	mark := filepath.Join(s.sessionFolder(sess.ID), "done")
	if recipe.SetupScript == "" || exists(mark) {
		return nil
	}
	// What lives already has the agent's limits, and was there before the recipe had a script.
	if err := s.opts.Sandboxes.Close(sess.ID); err != nil {
		return fmt.Errorf("close the sandbox before its setup script: %w", err)
	}
	sb, err := s.opts.Sandboxes.Sandbox(ctx, s.patient(spec))
	if err != nil {
		return err
	}
	res, err := sb.Bash(ctx, core.BashCommand{Command: "bash -l -c " + quote(recipe.SetupScript), Timeout: s.opts.SetUpTime})
	if closeErr := s.opts.Sandboxes.Close(sess.ID); err == nil && closeErr != nil {
		err = fmt.Errorf("close the sandbox behind its setup script: %w", closeErr)
	}
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(logs, "setup.log"), text(res)); err != nil {
		return err
	}
	if err := s.judge("the environment's setup script", res); err != nil {
		return err
	}
	return writeFile(mark, s.opts.Now().Format(time.RFC3339)+"\n")
}

// patient is a spec whose commands may run as long as a setup may.
func (s *Service) patient(spec core.SandboxSpec) core.SandboxSpec {
	spec.Limits.Command, spec.Limits.OutputBytes = s.opts.SetUpTime, setUpOutput
	return spec
}

// judge returns why what ran did not do its work; nil if it did.
func (s *Service) judge(what string, res core.BashResult) error {
	var how string
	switch {
	case res.TimedOut:
		how = fmt.Sprintf("took longer than %s and was stopped", s.opts.SetUpTime)
	case res.ExitCode != 0:
		how = fmt.Sprintf("failed with exit code %d", res.ExitCode)
	default:
		return nil
	}
	if said := ending(text(res)); said != "" {
		how += "; its output ends with:\n" + said
	}
	return core.Errorf(core.Unavailable, notReady, "%s %s", what, how)
}

func text(res core.BashResult) string {
	if res.Dropped > 0 {
		return res.Output + fmt.Sprintf("\n[%d more bytes of output were dropped]\n", res.Dropped)
	}
	return res.Output
}

// ending is the last bytes of a text, from the beginning of a character.
func ending(said string) string {
	said = strings.TrimSpace(said)
	if len(said) <= tail {
		return said
	}
	said = said[len(said)-tail:]
	for said != "" && !utf8.RuneStart(said[0]) {
		said = said[1:]
	}
	return "…" + said
}

// quote makes one word of the shell of a text.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// writeFile replaces a file as a whole. Sandboxes may read it.
func writeFile(path, content string) error {
	if err := os.WriteFile(path+".new", []byte(content), 0o644); err != nil { //nolint:gosec // sandboxes read it
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}

// scrap removes a tree in which folders may be closed to writing, as package managers leave them.
func scrap(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) //nolint:gosec // a folder that its owner may remove
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil
		}
		return err
	})
	return os.RemoveAll(path)
}
