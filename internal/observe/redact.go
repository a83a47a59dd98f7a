package observe

import "encoding/json"

// redact takes the secrets out of everything that a report says, before anything is stored: the original
// stored session tokens in clear (reference otas.md, sections 7 and 8, S16). Texts without secrets stay the
// same bytes. It returns the host that the request headers name.
func (s *Service) redact(r *Report, c *censor) (host string) {
	for i, headers := range [...]**string{&r.RequestHeaders, &r.ResponseHeaders} {
		if *headers == nil {
			continue
		}
		clean, named := s.headers.redact(**headers)
		if clean != **headers {
			*headers = new(clean)
		}
		if i == 0 && c.text(named) == named {
			host = hostName(named)
		}
	}
	r.Path, r.Method = c.text(r.Path), c.text(r.Method)
	for _, text := range r.texts() {
		if *text == nil {
			continue
		}
		if clean := c.text(**text); clean != **text {
			*text = new(clean)
		}
	}
	r.CustomProperties, r.Metadata = c.json(r.CustomProperties), c.json(r.Metadata)
	return host
}

// json is text for a JSON value. What would be none any more, because a secret began in the middle of an
// escape or was no string, becomes one string.
func (c *censor) json(raw json.RawMessage) json.RawMessage {
	if len(raw) <= len("null") { // as a rule {}
		return raw
	}
	s := string(raw)
	clean := c.text(s)
	if clean == s {
		return raw
	}
	if !json.Valid([]byte(clean)) {
		clean = `"` + redacted + `"`
	}
	return json.RawMessage(clean)
}
