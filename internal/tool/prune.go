package tool

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of a pruned page. With them, the pages that we could think of take the converter less
// time than the parser.
const (
	maxNesting = 12   // quotations and lists inside one another; deeper ones become plain blocks
	maxCells   = 64   // of one table row
	maxSpan    = 8    // columns or rows of one cell
	maxSpans   = 50   // cells of a page that span anything
	maxLink    = 2000 // bytes of a link's address
	nodeCost   = 4    // characters that an element counts for, besides its text
)

// unread are elements of which a reader sees nothing.
var unread = map[string]bool{
	"script": true, "style": true, "template": true, "noscript": true, "svg": true, "math": true, "iframe": true,
	"object": true, "canvas": true, "audio": true, "video": true, "select": true, "head": true,
}

// pruner takes from a page what is not read, and what lies beyond its budget.
type pruner struct {
	base  *url.URL // nil: links stay as they are
	left  int      // characters
	over  bool     // something was left out for want of budget
	spans int
}

func newPruner(baseURL string) *pruner {
	p := &pruner{left: inline, spans: maxSpans}
	p.base, _ = url.Parse(baseURL)
	return p
}

func (p *pruner) spent() bool { return p.over }

// place is where in the page a node is.
type place struct {
	nesting int  // quotations and lists around it
	flat    bool // it is in a list that became a plain block
	pre     bool // its white space counts
}

func (p *pruner) prune(doc *html.Node) {
	p.findBase(doc)
	p.children(doc, place{})
}

// findBase takes up the page's own <base>, which stands in its head.
func (p *pruner) findBase(n *html.Node) {
	for c := n.FirstChild; c != nil && p.base != nil; c = c.NextSibling {
		switch c.DataAtom {
		case atom.Html, atom.Head:
			p.findBase(c)
		case atom.Base:
			if ref, err := p.base.Parse(attribute(c, "href")); err == nil {
				p.base = ref
			}
			return
		}
	}
}

func (p *pruner) children(n *html.Node, at place) {
	cells := 0
	var next *html.Node
	for c := n.FirstChild; c != nil; c = next {
		next = c.NextSibling
		if c.DataAtom == atom.Td || c.DataAtom == atom.Th {
			cells++
		}
		if cells > maxCells || !p.keep(c, at) {
			n.RemoveChild(c)
		}
	}
}

// keep prunes a node and reports whether anything is left of it.
func (p *pruner) keep(n *html.Node, at place) bool {
	switch n.Type {
	case html.TextNode:
		return p.text(n, at)
	case html.ElementNode:
	default:
		return n.Type == html.DocumentNode
	}
	if unread[n.Data] {
		return false
	}
	if p.left <= 0 {
		p.over = true
		return false
	}
	p.left -= nodeCost
	switch n.DataAtom {
	case atom.Blockquote, atom.Ul, atom.Ol, atom.Menu, atom.Dl:
		at.nesting++
		at.flat = at.nesting > maxNesting
	case atom.Pre:
		at.pre = true
	}
	if at.flat {
		switch n.DataAtom {
		case atom.Blockquote, atom.Ul, atom.Ol, atom.Menu, atom.Dl, atom.Li:
			n.Data, n.DataAtom = "div", atom.Div
		}
	}
	p.attributes(n)
	p.children(n, at)
	return true
}

// text shortens a text to what is left of the budget. White space that HTML does not show costs nothing.
func (p *pruner) text(n *html.Node, at place) bool {
	if !at.pre {
		n.Data = collapse(n.Data)
	}
	if p.left <= 0 {
		p.over = p.over || strings.TrimSpace(n.Data) != ""
		return false
	}
	size := utf8.RuneCountInString(n.Data)
	if size > p.left {
		n.Data, p.over = clip(n.Data, p.left), true
	}
	p.left -= size
	return true
}

// collapse makes every run of white space one space.
func collapse(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	space := false
	for _, r := range s {
		if unicode.IsSpace(r) && r != '\u00a0' {
			if !space {
				b.WriteByte(' ')
			}
			space = true
			continue
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// attributes keeps those that Markdown can show.
func (p *pruner) attributes(n *html.Node) {
	n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool {
		switch a.Key {
		case "href", "src", "colspan", "rowspan":
			return false
		case "alt", "title", "class", "start", "align":
			p.left -= len(a.Val)
			return len(a.Val) > maxLink
		}
		return true
	})
	for i := range n.Attr {
		a := &n.Attr[i]
		switch a.Key {
		case "href", "src":
			a.Val = p.link(a.Val)
			p.left -= len(a.Val)
		case "colspan", "rowspan":
			a.Val = p.span(a.Val)
		}
	}
}

// link makes a link absolute. What leads nowhere outside of the page becomes empty.
func (p *pruner) link(ref string) string {
	u, err := url.Parse(strings.TrimSpace(ref))
	if err != nil || len(ref) > maxLink {
		return ""
	}
	if p.base != nil && ref != "" && !strings.HasPrefix(ref, "#") {
		u = p.base.ResolveReference(u)
	}
	switch u.Scheme {
	case "http", "https", "mailto":
		return u.String()
	}
	return ""
}

// span bounds how far a cell reaches.
func (p *pruner) span(s string) string {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n <= 1 || p.spans == 0 {
		return "1"
	}
	p.spans--
	return strconv.Itoa(min(n, maxSpan))
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}
