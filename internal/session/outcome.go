package session

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
)

// Limits of outcomes (claude-managed-agents.md section 1.7). For the description no limit is published; it is
// that of the rubric.
const (
	MaxOutcomes       = 100     // of one session; our own
	MaxRubric         = 262_144 // characters
	MaxDescription    = 262_144 // characters
	MaxIterations     = 20
	DefaultIterations = 3
)

// UseRubrics has read fetch the text of a file that holds a rubric, of at most so many bytes. NotFound and
// Invalid are shown to the client, without their field. It is called before the service is used.
func (s *Service) UseRubrics(read func(ctx context.Context, project core.ProjectID, id core.FileID, most int64) (string, error)) {
	s.rubrics = read
}

// checkOutcome judges what needs no look at a file.
func checkOutcome(field string, o *core.NewOutcome) error {
	switch {
	case strings.TrimSpace(o.Description) == "":
		return core.InvalidField(field+".description", "must not be empty")
	case utf8.RuneCountInString(o.Description) > MaxDescription:
		return core.InvalidField(field+".description", "at most %d characters", MaxDescription)
	case o.MaxIterations < 0 || o.MaxIterations > MaxIterations:
		return core.InvalidField(field+".max_iterations", "must be 1 to %d", MaxIterations)
	case o.RubricFile != "" && o.Rubric != "":
		return core.InvalidField(field+".rubric", "is either a text or a file")
	case o.RubricFile != "":
		return nil
	}
	return checkRubric(field+".rubric.content", o.Rubric)
}

func checkRubric(field, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return core.InvalidField(field, "must not be empty")
	case utf8.RuneCountInString(text) > MaxRubric:
		return core.InvalidField(field, "at most %d characters", MaxRubric)
	}
	return nil
}

// oneOutcome refuses a second outcome among inputs.
func oneOutcome(member string, in []Input) error {
	found := false
	for i := range in {
		if in[i].Outcome == nil {
			continue
		}
		if found {
			return core.InvalidField(indexed(member, i)+".type", "at most one user.define_outcome")
		}
		found = true
	}
	return nil
}

// withRubrics returns inputs whose rubrics are texts: those in files are read. The inputs are not changed.
func (s *Service) withRubrics(ctx context.Context, project core.ProjectID, member string, in []Input) ([]Input, error) {
	out := in
	for i := range in {
		o := in[i].Outcome
		if o == nil || o.RubricFile == "" {
			continue
		}
		text, err := s.rubric(ctx, project, indexed(member, i)+".rubric.file_id", o.RubricFile)
		if err != nil {
			return nil, err
		}
		read := *o
		read.Rubric, read.RubricFile = text, ""
		if &out[0] == &in[0] {
			out = append([]Input(nil), in...)
		}
		out[i].Outcome = &read
	}
	return out, nil
}

func (s *Service) rubric(ctx context.Context, project core.ProjectID, field string, id core.FileID) (string, error) {
	if s.rubrics == nil {
		return "", reference("file_not_found", field, "there is no such file")
	}
	text, err := s.rubrics(ctx, project, id, utf8.UTFMax*MaxRubric)
	switch core.KindOf(err) {
	case core.NotFound:
		return "", reference("file_not_found", field, "file %q was not found", "file_"+string(id))
	case core.Invalid, core.TooLarge:
		return "", core.InvalidField(field, "must be a text file of at most %d characters", MaxRubric)
	}
	if err != nil {
		return "", err
	}
	return text, checkRubric(field, text)
}

// outcomeDraft is the event of an outcome. It waits in the queue as a message does, since its place in the
// conversation is where the runner takes it up; clients are shown the time of its receipt.
func outcomeDraft(o *core.NewOutcome) core.Draft {
	most := o.MaxIterations
	if most == 0 {
		most = DefaultIterations
	}
	d := core.NewDraft("", "", core.EventUserDefineOutcome, core.DefineOutcome{
		Outcome: core.NewID[core.OutcomeID](), Description: o.Description, Rubric: o.Rubric, MaxIterations: most,
	})
	d.Queued = true
	return d
}

// defineOutcomes notes in the session what the drafts define. It reports whether they define anything.
func defineOutcomes(sess *core.Session, field func(int) string, drafts []core.Draft) (bool, error) {
	defined := false
	for i, d := range drafts {
		def, ok := d.Data.(core.DefineOutcome)
		if !ok {
			continue
		}
		if sess.ActiveOutcome() != nil {
			e := core.InvalidField(field(i)+".type", "the session works towards an outcome already; interrupt it, or wait for its end")
			e.Code = "outcome_active"
			return false, e
		}
		if len(sess.Outcomes) >= MaxOutcomes {
			return false, core.InvalidField(field(i)+".type", "a session works towards at most %d outcomes", MaxOutcomes)
		}
		sess.Outcomes = append(withoutRubrics(sess.Outcomes), core.Outcome{
			ID: def.Outcome, Event: d.ID, Description: def.Description, Rubric: def.Rubric, MaxIterations: def.MaxIterations,
			Result: core.OutcomePending,
		})
		defined = true
	}
	return defined, nil
}

// withoutRubrics returns outcomes that have ended as the session keeps them: what they were judged by is in the log,
// and would make the row of a session larger with each one.
func withoutRubrics(ended []core.Outcome) []core.Outcome {
	out := slices.Clone(ended)
	for i := range out {
		out[i].Rubric = ""
	}
	return out
}
