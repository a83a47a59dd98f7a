package compat

import (
	"fmt"
	"slices"
	"strings"

	"github.com/reeve-ai/reeve/internal/api/managed"
)

// page is where the outcome is written down.
const page = "../docs/compatibility.md"

// outcome is what a run has shown of one client.
type outcome struct {
	flows     map[string]bool
	endpoints map[managed.Endpoint]bool
}

const introduction = `# Compatibility

Which calls of the official clients work, unchanged, against this server. This page is written by a run of the
suite in [compat](../compat/README.md) and is never edited by hand: ` + "`make compat`" + ` writes it, ` + "`make test`" + ` fails if the
run shows something else.

A client is given the server's address and a key, and nothing else. Between the two stands a proxy that notes each
request. No client met an unknown route or a status of 500 or more.
`

const flowsIntroduction = `
## Flows

✓: every claim of the flow held. Blank: the client does not run it.
`

const endpointsIntroduction = `
## Endpoints

Every endpoint of the Claude flavour, below ` + "`/v1`" + `, as the server itself lists them. ✓: the client called it in a flow that
held, and was answered with a status of 2xx. Blank: not called by that client in this run.
`

// guestsHeading begins the part of the page that is only about clients that have to be brought.
const guestsHeading = "\n## Clients that have to be brought\n"

const guestsIntroduction = `
These are in no registry that the suite can use. Whoever has one names it, and a run with ` + "`make compat`" + ` writes this part; runs
without leave it as it is.

| Client | How | |
| --- | --- | --- |
`

// write makes the page of what the clients have shown, those in their order.
func write(clients []client, outcomes map[string]outcome) string {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString(flowsIntroduction)
	tables(&b, clients, outcomes)
	return b.String()
}

// guests makes the part about the clients that were brought. qoder says whether Qoder's client can be had.
func guests(clients []client, outcomes map[string]outcome, qoder string) string {
	var b strings.Builder
	b.WriteString(guestsHeading + guestsIntroduction)
	for _, c := range clients {
		fmt.Fprintf(&b, "| `ant`, the command line | `%s=/path/to/ant` | %s |\n", antPath, c.name)
	}
	if len(clients) == 0 {
		fmt.Fprintf(&b, "| `ant`, the command line | `%s=/path/to/ant` | not brought when this page was written |\n", antPath)
	}
	fmt.Fprintf(&b, "| Qoder's SDK for Go | `%s` | %s |\n", qoderModule, qoder)
	b.WriteString("\nWhat the Qoder flavour answers is held by recorded exchanges, `internal/api/managed/testdata/*_qoder.txtar`.\n")
	if len(clients) > 0 {
		b.WriteString("\n### Their flows\n")
		tables(&b, clients, outcomes)
	}
	return b.String()
}

func tables(b *strings.Builder, clients []client, outcomes map[string]outcome) {
	table(b, clients, flowNames(clients, outcomes), func(name, flow string) bool { return outcomes[name].flows[flow] }, func(flow string) string { return flow })
	if clients[0].guest {
		b.WriteString("\n### Their endpoints\n")
	} else {
		b.WriteString(endpointsIntroduction)
	}
	table(b, clients, managed.Endpoints(managed.Claude), func(name string, e managed.Endpoint) bool { return outcomes[name].endpoints[e] },
		func(e managed.Endpoint) string { return "`" + e.Method + " " + e.Path + "`" })
}

func table[R any](b *strings.Builder, clients []client, rows []R, has func(client string, row R) bool, label func(R) string) {
	b.WriteString("\n| |")
	for _, c := range clients {
		fmt.Fprintf(b, " %s |", c.name)
	}
	b.WriteString("\n| --- |" + strings.Repeat(" --- |", len(clients)) + "\n")
	for _, r := range rows {
		fmt.Fprintf(b, "| %s |", label(r))
		for _, c := range clients {
			if has(c.name, r) {
				b.WriteString(" ✓ |")
			} else {
				b.WriteString(" |")
			}
		}
		b.WriteString("\n")
	}
}

// flowNames are those of all clients, in the order of the suite.
func flowNames(clients []client, outcomes map[string]outcome) []string {
	var names []string
	for _, f := range slices.Concat(goFlows, goExamples) {
		names = append(names, f.name)
	}
	for _, f := range workerFlows {
		names = append(names, f.name)
	}
	known := map[string]bool{}
	for _, n := range names {
		known[n] = true
	}
	for _, c := range clients {
		for n := range outcomes[c.name].flows {
			if !known[n] {
				names, known[n] = append(names, n), true
			}
		}
	}
	return names
}
