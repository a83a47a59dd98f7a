package session

import (
	"context"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

// selfHosted reports whether workers run the tools of a session's sandbox.
func selfHosted(ctx context.Context, tx core.Store, sess core.Session) (bool, error) {
	if sess.Environment == "" {
		return false, nil
	}
	env, err := tx.Environment(ctx, sess.Project, sess.Environment)
	if core.KindOf(err) == core.NotFound { // an old session's may be gone: no recipe, no worker
		return false, nil
	}
	return env.Config.SelfHosted, err
}

// queueWork queues an item for a new session, if workers run its tools (claude-managed-agents.md section 3.3).
// It returns whose queue got one.
func queueWork(ctx context.Context, tx core.Store, sess core.Session, now time.Time) (core.EnvironmentID, error) {
	elsewhere, err := selfHosted(ctx, tx, sess)
	if err != nil || !elsewhere {
		return "", err
	}
	return offerWork(ctx, tx, sess, now)
}

// offerWork makes sure that a worker has, or can get, a session that needs one.
func offerWork(ctx context.Context, tx core.Store, sess core.Session, now time.Time) (core.EnvironmentID, error) {
	news, err := tx.QueueWork(ctx, core.NewWork(sess, now))
	if err != nil || !news {
		return "", err
	}
	return sess.Environment, nil
}

// stopWork has the worker of a session that ended go.
func stopWork(ctx context.Context, tx core.Store, sess core.Session, now time.Time) error {
	if sess.Environment == "" {
		return nil
	}
	w, err := tx.LiveWork(ctx, sess.Project, sess.ID)
	if core.KindOf(err) == core.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	w.Stop(now, false)
	return tx.UpdateWork(ctx, w)
}
