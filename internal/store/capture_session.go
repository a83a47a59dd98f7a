package store

import (
	"context"
	"slices"

	"github.com/reeve-ai/reeve/internal/core"
)

// sessionTally sums up captures of one session that come or go together.
type sessionTally struct {
	outcomes
	source      int64
	first, last int64
	days        []sessionDay // few: nearly always one
}

type sessionDay struct {
	day      core.Day
	captures int64
}

func (s *sessionTally) add(c *counted) {
	if s.captures == 0 {
		s.source, s.first, s.last = c.source, c.at, c.at
	}
	s.outcomes.add(c.outcome)
	s.first, s.last = min(s.first, c.at), max(s.last, c.at)
	s.addDay(c.day, 1)
}

func (s *sessionTally) addDay(day core.Day, captures int64) {
	for i := range s.days {
		if s.days[i].day == day {
			s.days[i].captures += captures
			return
		}
	}
	s.days = append(s.days, sessionDay{day, captures})
}

var (
	addSessions = rowsInsert{
		into:    "INSERT INTO sessions (id, source, day, several_days, captures, errors, client_errors, first_at, last_at)",
		columns: 9,
		end: `ON CONFLICT (id, source) DO UPDATE SET captures = sessions.captures + excluded.captures,
			errors = sessions.errors + excluded.errors, client_errors = sessions.client_errors + excluded.client_errors,
			first_at = CASE WHEN excluded.first_at < sessions.first_at THEN excluded.first_at ELSE sessions.first_at END,
			last_at = CASE WHEN excluded.last_at > sessions.last_at THEN excluded.last_at ELSE sessions.last_at END
			RETURNING id, source, no, day, several_days, captures`,
	}
	addSessionDays = rowsInsert{
		into: "INSERT INTO session_days (source, day, session, captures)", columns: 4,
		end: "ON CONFLICT (source, day, session) DO UPDATE SET captures = session_days.captures + excluded.captures",
	}
)

// sessions counts the new captures in their sessions and gives them the numbers of those.
//
// How many sessions an agent had in some days is asked often, and sessions are many. So those that have
// captures of one day only, nearly all, are a number in days; the others have a row in session_days for
// each of their days. A session goes over from the one to the other and never comes back.
func (a *appending) sessions(ctx context.Context) error {
	type key struct {
		source int64
		id     rawID
	}
	tallies := make(map[key]*sessionTally)
	var order []key
	for _, r := range a.fresh {
		k := key{r.source, r.sessionID}
		s := tallies[k]
		if s == nil {
			s = &sessionTally{}
			tallies[k] = s
			order = append(order, k)
		}
		s.add(&r.counted)
	}
	args := make([]any, 0, len(order)*addSessions.columns)
	for _, k := range order {
		s := tallies[k]
		args = append(args, k.id[:], k.source, int64(s.days[0].day), int64(0), s.captures, s.errors, s.clientErrors, s.first, s.last)
	}
	numbers := make(map[key]int64, len(order))
	var moved []int64
	var days []any
	err := addSessions.run(ctx, a.h, args, func(r row) error {
		var k key
		var no, captures int64
		var day core.Day
		var several bool
		if err := r.Scan(rawIDColumn{&k.id}, &k.source, &no, &day, flagColumn{&several}, &captures); err != nil {
			return err
		}
		numbers[k] = no
		s := tallies[k]
		before := captures - s.captures
		if !several {
			if before == 0 {
				a.tally.day(dayKey{k.source, day}).sessions++
			}
			if len(s.days) == 1 && s.days[0].day == day {
				return nil
			}
			a.tally.day(dayKey{k.source, day}).sessions--
			moved = append(moved, no)
			if before > 0 {
				s.addDay(day, before)
			}
		}
		for _, d := range s.days {
			days = append(days, k.source, int64(d.day), no, d.captures)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, r := range a.fresh {
		r.session = numbers[key{r.source, r.sessionID}]
	}
	if len(moved) > 0 {
		if _, err := a.h.change(ctx, "UPDATE sessions SET several_days = 1 WHERE "+a.engine.inNumbers("no", "$1"),
			[]any{a.engine.numbers(moved)}, nil); err != nil {
			return err
		}
	}
	return addSessionDays.run(ctx, a.h, days, nil)
}

// takeFromSessions takes captures that were deleted out of the counts of their sessions.
func takeFromSessions(ctx context.Context, h handle, t *tally, sessions map[int64]*sessionTally) error {
	numbers := make([]int64, 0, len(sessions))
	for no := range sessions {
		numbers = append(numbers, no)
	}
	slices.Sort(numbers)
	for _, no := range numbers {
		if err := takeFromSession(ctx, h, t, no, sessions[no]); err != nil {
			return err
		}
	}
	return nil
}

func takeFromSession(ctx context.Context, h handle, t *tally, no int64, s *sessionTally) error {
	var day core.Day
	var several bool
	var left int64
	_, err := h.change(ctx, `UPDATE sessions SET captures = captures - $2, errors = errors - $3, client_errors = client_errors - $4
		WHERE no = $1 RETURNING day, several_days, captures`, []any{no, s.captures, s.errors, s.clientErrors},
		func(r row) error { return r.Scan(&day, flagColumn{&several}, &left) })
	if err != nil {
		return err
	}
	if several {
		if err := takeSessionDays(ctx, h, no, s); err != nil {
			return err
		}
	} else if left == 0 {
		t.day(dayKey{s.source, day}).sessions--
	}
	if left == 0 {
		_, err := h.change(ctx, "DELETE FROM sessions WHERE no = $1", []any{no}, nil)
		return err
	}
	_, err = h.change(ctx, `UPDATE sessions SET first_at = (SELECT MIN(at) FROM captures WHERE session = $1),
		last_at = (SELECT MAX(at) FROM captures WHERE session = $1) WHERE no = $1`, []any{no}, nil)
	return err
}

func takeSessionDays(ctx context.Context, h handle, no int64, s *sessionTally) error {
	for _, d := range s.days {
		var left int64
		_, err := h.change(ctx, `UPDATE session_days SET captures = captures - $4 WHERE source = $1 AND day = $2 AND session = $3
			RETURNING captures`, []any{s.source, int64(d.day), no, d.captures}, func(r row) error { return r.Scan(&left) })
		if err == nil && left == 0 {
			_, err = h.change(ctx, "DELETE FROM session_days WHERE source = $1 AND day = $2 AND session = $3", []any{s.source, int64(d.day), no}, nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
