package turn

import (
	"context"
	"errors"
	"fmt"

	"github.com/reeve-ai/reeve/internal/core"
)

// furnished opens a sandbox for the session, as last committed, with what its environment gives it, and tells the client, once in a
// turn, what it cannot give.
func (v *run) furnished(ctx context.Context, sess core.Session, spec core.SandboxSpec) (core.Sandbox, error) {
	if v.opts.Environments == nil {
		return v.sandboxes.Sandbox(ctx, spec)
	}
	ready, err := v.opts.Environments.Ready(ctx, sess, v.env, spec)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	faults := make([]core.SessionError, 0, len(ready.Unreachable)+1)
	for _, u := range ready.Unreachable {
		faults = append(faults, core.SessionError{
			Type: core.CredentialUnreachable, Retry: "retrying", Vault: u.Vault, Secret: u.Secret, Message: unreachable(u),
		})
	}
	var e *core.Error
	if errors.As(err, &e) && e.Code == "environment_not_ready" {
		faults = append(faults, core.SessionError{
			Type: core.ModelUnknown, Retry: "retrying", Message: "The sandbox is not ready: " + e.Message,
		})
	}
	if told := v.tellFaults(ctx, faults); told != nil {
		return nil, told
	}
	if err != nil {
		return nil, err
	}
	sb, err := v.sandboxes.Sandbox(ctx, ready.Spec)
	if err != nil {
		return nil, err
	}
	return v.opts.Environments.Watch(sess.ID, sb), nil
}

// tellFaults appends the faults of which the client was not told in this turn.
func (v *run) tellFaults(ctx context.Context, faults []core.SessionError) error {
	if len(faults) == 0 {
		return nil
	}
	return v.write(ctx, func(core.Store) ([]core.Draft, error) {
		var drafts []core.Draft
		for _, f := range faults {
			if key := faultKey(f); !v.t.failed[key] {
				drafts = append(drafts, v.draft(core.EventSessionError, f))
			}
		}
		return drafts, nil
	})
}

// faultKey is under which a transcript remembers that the client was told of something in this turn; empty:
// it does not remember.
func faultKey(e core.SessionError) string {
	switch {
	case e.Server != "":
		return e.Server
	case e.Type == core.CredentialUnreachable:
		return "\x00credential " + string(e.Vault) + " " + string(e.Secret)
	case e.Type == core.ModelUnknown && e.Retry == "retrying":
		return "\x00sandbox " + e.Message
	}
	return ""
}

func unreachable(u core.UnreachableSecret) string {
	if u.Host == "" {
		return fmt.Sprintf("The credential for %s cannot be used: this session's sandbox has no network that it could be sent over.", u.Name)
	}
	return fmt.Sprintf("The credential for %s cannot be used with %s: the environment does not let that host through.", u.Name, u.Host)
}
