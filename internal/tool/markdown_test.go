package tool

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestMarkdownOfAPage(t *testing.T) {
	t.Parallel()
	const page = `<!doctype html><html><head><title>no</title><base href="/docs/"><style>no</style></head><body>
<nav><a href="javascript:alert(1)">menu</a> <a href="#top">top</a></nav>
<h2>List   of
 things</h2>
<ul><li>one<ul><li>inner <b>bold</b> <em>em</em></li></ul></li><li><a href="two.html?a=1&amp;b=2">two</a></li></ul>
<ol start="3"><li>three</li></ol>
<table><tr><th>Name</th><th>Value</th></tr><tr><td>a_b</td><td>1*2</td></tr></table>
<pre><code class="language-go">if a  &lt; b {
	return
}</code></pre>
<blockquote><p>said</p></blockquote>
<p>1 &lt; 2 &amp;lt; 3 > ﷐2</p>
<p><img src="pic.png" alt="a picture"> <img src="data:image/png;base64,AAAA" alt="inline"></p>
<svg><text>no</text></svg><!-- no --><template>no</template><noscript>no</noscript><iframe src="/x">no</iframe>
</body></html>`
	const want = `menu top

## List of things

- one
  
  - inner **bold** *em*
- [two](https://example.com/docs/two.html?a=1&b=2)

3. three

| Name | Value |
|---|---|
| a_b | 1*2 |

` + "```go\nif a  < b {\n\treturn\n}\n```" + `

> said

1 < 2 &lt; 3 > 2

![a picture](https://example.com/docs/pic.png)`
	got, cut := markdown([]byte(page), "text/html; charset=utf-8", "https://example.com/index.html")
	if got != want || cut {
		t.Errorf("cut %v, got\n%s\nwant\n%s", cut, got, want)
	}
}

// Pages on which the converter alone takes minutes or gigabytes.
func TestHostilePagesAreConvertedInBoundedTime(t *testing.T) {
	t.Parallel()
	fill := func(unit string, n int) string { return strings.Repeat(unit, n/len(unit)) }
	nest := func(open, end, inner string, depth int) string {
		return strings.Repeat(open, depth) + inner + strings.Repeat(end, depth)
	}
	const n = 512 << 10
	var attributes strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&attributes, " a%d=b", i)
	}
	for name, page := range map[string]string{
		"spans":        "<table><tr><td colspan=100000 rowspan=65000>a</td></tr><tr><td>b</table>",
		"many spans":   "<table>" + fill("<tr><td colspan=9999 rowspan=9999>a<td>b", n) + "</table>",
		"wide table":   "<table><tr>" + fill("<td>a", n/10) + "</tr>" + fill("<tr><td>a", n/2) + "</table>",
		"tall cell":    "<table><tr><td>" + fill("x", n/10) + "</td><td>b</td></tr>" + fill("<tr><td>a", n/2) + "</table>",
		"tables":       fill(nest("<table><tr><td>", "</table>", "x\ny<br>z", 100), n),
		"stars":        fill("*_`[", n),
		"quotations":   nest("<blockquote>", "</blockquote>", "<p>"+fill("x<br>", n)+"</p>", 400),
		"lists":        nest("<ul><li>", "</li></ul>", "<p>"+fill("x<br>", n)+"</p>", 200),
		"list in list": fill(nest("<ol><li>", "</li></ol>", "x", 200), n),
		"items":        "<ol>" + fill("<li>x", n),
		"bold":         fill(nest("<b>", "</b>", "x", 400), n),
		"links":        fill("<a href='/a'>x", n),
		"long links":   fill("<a href='/"+strings.Repeat("a", 5000)+"'>x</a>", n),
		"data":         "<p>before<img alt=x src='data:image/png;base64," + fill("A", n) + "'>after",
		"code":         "<pre>" + fill("`\n", n),
		"space":        "<p>" + fill(" \n", n) + "x",
		"pre space":    nest("<blockquote>", "</blockquote>", "<pre>"+fill(" \n", n)+"x", 10),
		"headings":     fill("<h1>x</h1>", n),
		"misnested":    fill("<b><i><a><p>x</b></p>", n/10),
		"formatting":   fill("<b><font><i><p>x", n/10),
		"deep":         fill("<div>", n) + "bottom",
		"attributes":   "<p" + attributes.String() + ">x",
		"bodies":       strings.Repeat("<body"+attributes.String()+">", 3) + "x",
		"comments":     fill("<!--x-->", n) + "x",
		"huge":         fill("<p>word</p>", 5<<20),
		"script":       "<script>" + fill("x", n),
		"nothing":      "",
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			text, cut := markdown([]byte(page), "text/html; charset=utf-8", "https://example.com/")
			t.Logf("%d bytes became %d characters in %v, cut %v", len(page), utf8.RuneCountInString(text), time.Since(began).Round(time.Millisecond), cut)
			// Half a minute is far from what it takes, and far from what it took without pruning.
			if time.Since(began) > 30*time.Second {
				t.Error("that took too long")
			}
			// Marks come on top of the page's own text: a quotation has up to 12 of them on each line.
			if len(text) > 4<<20 {
				t.Errorf("%d bytes are too much", len(text))
			}
		})
	}
}

func TestPageNestedTooDeepBecomesPlainText(t *testing.T) {
	t.Parallel()
	text, cut := markdown([]byte("<p>first &amp; <b>bold</b><script>no</script>"+strings.Repeat("<div>", 600)+"last"), "text/html", "https://example.com/")
	if text != "first &\nbold\nlast\n" || cut {
		t.Errorf("%q, %v", text, cut)
	}
}

func TestCutPageSaysSo(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]bool{
		"<p>" + strings.Repeat("ü ", 49_990):                           false,
		"<p>" + strings.Repeat("ü ", 50_010):                           true,
		"<p>" + strings.Repeat("ü", 200_000) + "<script>x</script>":    true,
		"<script>" + strings.Repeat("x", 1<<20) + "</script>short":     false,
		strings.Repeat("<p>x</p>", 30_000):                             true,
		"<p>x" + strings.Repeat(" ", 5<<20):                            true, // only 4 MiB are parsed
		strings.Repeat("<div>", 600) + strings.Repeat("word ", 25_000): true,
	} {
		if _, cut := markdown([]byte(page), "text/html; charset=utf-8", ""); cut != want {
			t.Errorf("%.30s…: cut = %v", page, cut)
		}
	}
}
