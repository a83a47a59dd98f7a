package managed

import (
	"errors"
	"net/http"

	"github.com/reeve-ai/reeve/internal/memory"
	"github.com/reeve-ai/reeve/internal/work"
)

// claudeCodes and qoderCodes are the errors that differ from the table of their kind (CMA section 1.4,
// qoder.md section 2.5).
var (
	claudeCodes = map[string]wireError{
		memory.CodePrecondition: {http.StatusConflict, "memory_precondition_failed_error"},
		memory.CodePathConflict: {http.StatusConflict, "memory_path_conflict_error"},
		work.CodePrecondition:   {http.StatusPreconditionFailed, "precondition_failed_error"},
	}
	qoderCodes = map[string]wireError{
		memory.CodePrecondition: {http.StatusConflict, "invalid_request_error"},
		memory.CodePathConflict: {http.StatusConflict, "invalid_request_error"},
		memory.CodeArchived:     {http.StatusConflict, "invalid_request_error"},
		work.CodePrecondition:   {http.StatusPreconditionFailed, "precondition_failed_error"},
		work.CodeNotHeld:        {http.StatusConflict, "invalid_request_error"},
	}
)

// conflictingMemory is what an error of the type memory_path_conflict_error says besides.
type conflictingMemory struct {
	ID   string `json:"conflicting_memory_id"`
	Path string `json:"conflicting_path"`
}

// memoryConflict adds which memory is in the way. Qoder's errors have no such members.
func (fl *Flavour) memoryConflict(err error, detail *errorDetail) {
	var conflict *memory.PathConflict
	if fl == Claude && errors.As(err, &conflict) {
		detail.conflictingMemory = &conflictingMemory{ID: memoryPrefix + string(conflict.Memory), Path: conflict.Path}
	}
}
