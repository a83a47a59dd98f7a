package storetest

import (
	"testing"

	"github.com/reeve-ai/reeve/internal/core"
)

// record is a reserved key of a project that lives until a time.
func record(project core.ProjectID, object string, made, until int) core.Idempotency {
	return core.Idempotency{
		Project: project, Caller: "caller", Key: "key", Fingerprint: [32]byte{1, 0, 255}, Object: object,
		CreatedAt: kept(at(made)), ExpiresAt: kept(at(until)),
	}
}

func (b *bundle) reserve(t *testing.T, rec core.Idempotency, now int) (core.Idempotency, bool) {
	t.Helper()
	got, fresh, err := b.ReserveIdempotency(b.ctx, rec, at(now))
	need(t, err)
	return got, fresh
}

var idempotencyPromises = map[string]func(*testing.T, *bundle){
	"TheFirstReservesAndTheSecondSeesIt": func(t *testing.T, b *bundle) {
		first := record(b.project(t), "one", 1, 100)
		got, fresh := b.reserve(t, first, 1)
		same(t, "first is new", fresh, true)
		same(t, "first", got, first)
		second := record(first.Project, "two", 2, 200)
		second.Fingerprint[0] = 9
		got, fresh = b.reserve(t, second, 2)
		same(t, "second is new", fresh, false)
		same(t, "second", got, first)
	},
	"OtherCallersKeysAndProjectsDoNotMatter": func(t *testing.T, b *bundle) {
		first := record(b.project(t), "one", 1, 100)
		b.reserve(t, first, 1)
		for name, edit := range map[string]func(*core.Idempotency){
			"project": func(r *core.Idempotency) { r.Project = b.project(t) },
			"caller":  func(r *core.Idempotency) { r.Caller = "other" },
			"key":     func(r *core.Idempotency) { r.Key = "KEY" },
		} {
			rec := first
			edit(&rec)
			got, fresh := b.reserve(t, rec, 1)
			same(t, name+": new", fresh, true)
			same(t, name, got, rec)
		}
	},
	"AFinishedRecordHasItsResponse": func(t *testing.T, b *bundle) {
		rec := record(b.project(t), "one", 1, 100)
		b.reserve(t, rec, 1)
		rec.Status, rec.Response = 201, []byte("{\"a\":\x00\xff}")
		need(t, b.FinishIdempotency(b.ctx, rec))
		got, fresh := b.reserve(t, record(rec.Project, "two", 2, 200), 2)
		same(t, "new", fresh, false)
		same(t, "record", got, rec)
	},
	"AKeyWhoseTimeIsOverIsFree": func(t *testing.T, b *bundle) {
		first := record(b.project(t), "one", 1, 100)
		b.reserve(t, first, 1)
		first.Status, first.Response = 200, []byte("x")
		need(t, b.FinishIdempotency(b.ctx, first))
		second := record(first.Project, "two", 100, 200)
		got, fresh := b.reserve(t, second, 100)
		same(t, "new", fresh, true)
		same(t, "record", got, second)
		refused(t, "the first finishes", b.FinishIdempotency(b.ctx, first), core.NotFound, "idempotency_key_not_found")
		refused(t, "the first drops", b.DropIdempotency(b.ctx, first), core.NotFound, "idempotency_key_not_found")
	},
	"ADroppedKeyIsFree": func(t *testing.T, b *bundle) {
		rec := record(b.project(t), "one", 1, 100)
		b.reserve(t, rec, 1)
		need(t, b.DropIdempotency(b.ctx, rec))
		refused(t, "drop again", b.DropIdempotency(b.ctx, rec), core.NotFound, "idempotency_key_not_found")
		_, fresh := b.reserve(t, rec, 2)
		same(t, "new", fresh, true)
	},
	"ExpireDeletesWhatIsOver": func(t *testing.T, b *bundle) {
		for i, until := range []int{10, 20, 30} {
			rec := record(b.project(t), "o", i, until)
			b.reserve(t, rec, i)
		}
		for _, want := range []int{2, 0} {
			n, err := b.ExpireIdempotency(b.ctx, at(20))
			need(t, err)
			same(t, "expired", n, want)
		}
	},
}
