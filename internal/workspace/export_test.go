package workspace

// NewMemoryOf is NewMemory for small folders: of each, so many files and folders are looked at.
func NewMemoryOf(m Memories, visits int) *MemoryPart { return &MemoryPart{m, visits} }
