package tool

import (
	"strings"

	"github.com/JohannesKaufmann/html-to-markdown/v2/converter"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/base"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/commonmark"
	"github.com/JohannesKaufmann/html-to-markdown/v2/plugin/table"
	"golang.org/x/net/html"
)

// maxHTML is how much of a page is parsed, in bytes: that takes about a second.
const maxHTML = 4 << 20

// markdown turns a page into Markdown, about inline characters of it. cut reports whether there was
// more. baseURL is where links of the page are relative to.
//
// The converter takes quadratic time and worse on some pages (a cell that spans 100,000 columns, deep
// quotations, a long row of asterisks), so it gets a tree that pruning has bounded, and escapes nothing:
// the text is for reading.
func markdown(body []byte, contentType, baseURL string) (text string, cut bool) {
	if len(body) > maxHTML {
		body, cut = body[:maxHTML], true
	}
	source := decodeText(body, contentType)
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil { // nested deeper than the parser allows
		text, more := plainText(source)
		return text, cut || more
	}
	p := newPruner(baseURL)
	p.prune(doc)
	cut = cut || p.spent()
	conv := converter.NewConverter(
		converter.WithEscapeMode(converter.EscapeModeDisabled),
		converter.WithPlugins(
			base.NewBasePlugin(),
			commonmark.NewCommonmarkPlugin(
				commonmark.WithListEndComment(false),
				commonmark.WithLinkEmptyHrefBehavior(commonmark.LinkBehaviorSkip),
				commonmark.WithLinkEmptyContentBehavior(commonmark.LinkBehaviorSkip),
			),
			table.NewTablePlugin(table.WithCellPaddingBehavior(table.CellPaddingBehaviorMinimal)),
		),
	)
	conv.Register.TextTransformer(func(_ converter.Context, text string) string { return hideAngles.Replace(text) }, converter.PriorityEarly)
	out, err := conv.ConvertNode(doc)
	if err != nil {
		text, more := plainText(source)
		return text, cut || more
	}
	return showAngles.Replace(string(out)), cut
}

// The base plugin writes < and > of a text as entities. Two code points that Unicode keeps for a
// program's own use carry them past it; a page's own are dropped.
var (
	hideAngles = strings.NewReplacer("<", "\uFDD0", ">", "\uFDD1", "\uFDD0", "", "\uFDD1", "")
	showAngles = strings.NewReplacer("\uFDD0", "<", "\uFDD1", ">")
)

// plainText is the text of a page without any marks, about inline characters of it.
func plainText(source string) (text string, cut bool) {
	var b strings.Builder
	z := html.NewTokenizer(strings.NewReader(source))
	skip := 0
	for left := inline; ; {
		switch z.Next() {
		case html.ErrorToken:
			return b.String(), false
		case html.StartTagToken:
			if name, _ := z.TagName(); unread[string(name)] {
				skip++
			}
		case html.EndTagToken:
			if name, _ := z.TagName(); unread[string(name)] {
				skip = max(skip-1, 0)
			}
		case html.TextToken:
			words := strings.Join(strings.Fields(string(z.Text())), " ")
			if skip > 0 || words == "" {
				continue
			}
			if left -= len(words) + 1; left < 0 {
				return b.String(), true
			}
			b.WriteString(words + "\n")
		}
	}
}
