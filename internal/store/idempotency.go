package store

import (
	"context"
	"fmt"
	"time"

	"github.com/reeve-ai/reeve/internal/core"
)

const idempotencyColumns = "project_id, caller, key, fingerprint, object, status, response, created_at, expires_at"

func scanIdempotency(r row) (core.Idempotency, error) {
	var rec core.Idempotency
	var fingerprint []byte
	err := r.Scan((*string)(&rec.Project), &rec.Caller, &rec.Key, &fingerprint, &rec.Object, &rec.Status,
		rawColumn{&rec.Response}, timeColumn{&rec.CreatedAt}, timeColumn{&rec.ExpiresAt})
	if err == nil && copy(rec.Fingerprint[:], fingerprint) != len(rec.Fingerprint) {
		return rec, fmt.Errorf("fingerprint has %d bytes", len(fingerprint))
	}
	return rec, err
}

// ReserveIdempotency implements core.IdempotencyStore.
func (s *store) ReserveIdempotency(ctx context.Context, rec core.Idempotency, now time.Time) (live core.Idempotency, fresh bool, err error) {
	args := []any{
		string(rec.Project), rec.Caller, rec.Key, rec.Fingerprint[:], rec.Object, rec.Status, rec.Response,
		micros(rec.CreatedAt), micros(rec.ExpiresAt), micros(now),
	}
	err = s.write(ctx, "reserve idempotency key", func(h *txn) error {
		n, err := h.change(ctx, "INSERT INTO idempotency ("+idempotencyColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (project_id, caller, key) DO UPDATE
			SET fingerprint = excluded.fingerprint, object = excluded.object, status = excluded.status,
				response = excluded.response, created_at = excluded.created_at, expires_at = excluded.expires_at
			WHERE idempotency.expires_at <= $10`, args, nil)
		if err != nil {
			return err
		}
		fresh = n > 0
		list, err := all(ctx, h, "SELECT "+idempotencyColumns+` FROM idempotency
			WHERE project_id = $1 AND caller = $2 AND key = $3`, args[:3], scanIdempotency)
		if err == nil && len(list) == 1 {
			live = list[0]
		}
		return err
	})
	if err != nil {
		return core.Idempotency{}, false, err
	}
	return live, fresh, nil
}

// reservation is the condition for the record that the caller reserved: the same key may have run out
// and been reserved by somebody else since. Its arguments are reservationArgs.
const reservation = "project_id = $1 AND caller = $2 AND key = $3 AND object = $4 AND created_at = $5"

func reservationArgs(rec core.Idempotency) []any {
	return []any{string(rec.Project), rec.Caller, rec.Key, rec.Object, micros(rec.CreatedAt)}
}

// FinishIdempotency implements core.IdempotencyStore. NotFound if the record is no longer the one that
// was reserved.
func (s *store) FinishIdempotency(ctx context.Context, rec core.Idempotency) error {
	return s.write(ctx, "finish idempotency key", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("idempotency_key", rec.Key),
			"UPDATE idempotency SET status = $6, response = $7 WHERE "+reservation,
			append(reservationArgs(rec), rec.Status, rec.Response)...)
	})
}

// DropIdempotency implements core.IdempotencyStore. NotFound as FinishIdempotency.
func (s *store) DropIdempotency(ctx context.Context, rec core.Idempotency) error {
	return s.write(ctx, "drop idempotency key", func(h *txn) error {
		return must(ctx, h, core.NotFoundError("idempotency_key", rec.Key),
			"DELETE FROM idempotency WHERE "+reservation, reservationArgs(rec)...)
	})
}

// ExpireIdempotency implements core.IdempotencyStore.
func (s *store) ExpireIdempotency(ctx context.Context, now time.Time) (count int, err error) {
	err = s.write(ctx, "expire idempotency keys", func(h *txn) error {
		n, err := h.change(ctx, "DELETE FROM idempotency WHERE expires_at <= $1", []any{micros(now)}, nil)
		count = int(n)
		return err
	})
	return count, err
}
