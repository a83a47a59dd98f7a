package app

import (
	"fmt"
	"net/url"

	"github.com/reeve-ai/reeve/internal/tool"
)

// toolOptions are what the built-in tools need besides the server itself.
func (a *App) toolOptions() []tool.Option {
	if a.cfg.Tools.SearchURL == "" {
		return nil
	}
	at, err := url.Parse(a.cfg.Tools.SearchURL)
	if err != nil {
		panic(fmt.Sprintf("app: %v", err)) // config.Validate has parsed it
	}
	return []tool.Option{tool.WithSearch(at)}
}
