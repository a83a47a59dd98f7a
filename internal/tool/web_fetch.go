package tool

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/reeve-ai/reeve/internal/core"
	"github.com/reeve-ai/reeve/internal/egress"
)

// webFetch is web_fetch of the built-in toolset and of the capability of that name.
type webFetch struct{ egress *egress.Client }

// page is its result. The names are those of Everruns section 5.2.
type page struct {
	URL         string `json:"url"` // after redirects
	StatusCode  int    `json:"status_code"`
	ContentType string `json:"content_type"`
	Size        int    `json:"size"`    // bytes received, after decompression
	Format      string `json:"format"`  // markdown, text or binary
	Content     string `json:"content"` // empty for binary
	Truncated   bool   `json:"truncated"`
}

func (webFetch) Spec() core.ToolSpec { return spec("web_fetch") }

func (webFetch) Repeatable() bool { return true }

func (w webFetch) Run(ctx context.Context, env core.ToolEnv, raw json.RawMessage) (core.ToolOutput, error) {
	in := readInput("web_fetch", raw)
	address := in.filled("url")
	if says, bad := in.problem(); bad {
		return objectError("invalid_input", says), nil
	}
	set, err := core.ReadWebSettings(env.Settings)
	if err != nil {
		return core.ToolOutput{}, err
	}
	res, err := w.egress.GetWhere(ctx, address, func(u *url.URL) bool { return set.Allows(u.Hostname(), u.Path) })
	if ctx.Err() != nil {
		return core.ToolOutput{}, ctx.Err()
	}
	var refused *core.Error
	if errors.As(err, &refused) && refused.Kind == core.Invalid {
		return objectError(refused.Code, sentence(refused.Message)), nil
	}
	if err != nil {
		return core.ToolOutput{}, err
	}
	p := pageOf(res).limited(set.MaxContentTokens)
	if keep := env.Keep; keep != nil && utf8.RuneCountInString(p.Content) > inline-pageHead {
		p.Content, p.Truncated = preview(p.Content, keep(ctx, p.Content)), true
	}
	out := p.object()
	out.IsError = res.Status < 200 || res.Status > 299
	return out, nil
}

// pageOf is what the model sees of an answer: HTML as Markdown, other text as it is, and only that it
// is there of anything else.
func pageOf(res *egress.Response) page {
	p := page{
		URL: clean(res.URL), StatusCode: res.Status, ContentType: clean(clip(res.ContentType, 200)),
		Size: len(res.Body), Format: "text", Truncated: res.Truncated,
	}
	kind := mediaType(res)
	var cut bool
	switch {
	case kind == "text/html" || kind == "application/xhtml+xml":
		p.Format = "markdown"
		p.Content, cut = markdown(res.Body, res.ContentType, res.URL)
	case textual(kind):
		p.Content = decodeText(res.Body, res.ContentType)
	default:
		p.Format = "binary"
	}
	p.Content = clean(p.Content)
	p.Truncated = p.Truncated || cut
	return p
}

// pageHead is room for the members besides content.
const pageHead = 1000

// tokenBytes is about how many bytes of text a model counts as one token.
const tokenBytes = 4

// limited is the page with its content cut at about a number of tokens; 0: it is not.
func (p page) limited(tokens int64) page {
	if tokens <= 0 || tokens >= int64(len(p.Content)) { // what is less than a byte for each fits in any case
		return p
	}
	if most := int(tokens) * tokenBytes; most < len(p.Content) {
		p.Content, p.Truncated = strings.ToValidUTF8(p.Content[:most], ""), true
	}
	return p
}

// object is the page as a result. What is too long for one, because of its length or of what JSON adds to
// it, is cut.
func (p page) object() core.ToolOutput {
	for {
		out := object(p)
		n, content := utf8.RuneCountInString(out.Content[0].Text), utf8.RuneCountInString(p.Content)
		if n <= inline || content == 0 {
			return out
		}
		p.Content, p.Truncated = clip(p.Content, max(0, content*inline/n-len("true"))), true
	}
}

// mediaType is the type of a body in lower case without parameters, guessed where the server named none.
func mediaType(res *egress.Response) string {
	kind, _, err := mime.ParseMediaType(res.ContentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || kind == "application/octet-stream" {
		kind, _, _ = mime.ParseMediaType(http.DetectContentType(res.Body))
	}
	return kind
}

func textual(kind string) bool {
	if strings.HasPrefix(kind, "text/") || strings.HasSuffix(kind, "+json") || strings.HasSuffix(kind, "+xml") || strings.HasSuffix(kind, "+yaml") {
		return true
	}
	switch kind {
	case "application/json", "application/x-ndjson", "application/jsonl", "application/json-seq", "application/xml",
		"application/javascript", "application/ecmascript", "application/x-javascript", "application/typescript",
		"application/yaml", "application/x-yaml", "application/toml", "application/sql", "application/graphql",
		"application/x-sh", "application/x-www-form-urlencoded", "application/x-tex", "application/rtf":
		return true
	}
	return false
}
