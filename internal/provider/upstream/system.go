package upstream

// SystemText writes a system message for models that take none in the middle of a conversation: as text of the
// user, with a mark around it.
func SystemText(text string) string {
	return "<system-message>\n" + text + "\n</system-message>"
}
