package catalog

import (
	"github.com/sallyport/sallyport/guard/catalog"
	guard "github.com/sallyport/sallyport/guard/schema"
	"github.com/sallyport/sallyport/internal/inspect/definition"
	"github.com/sallyport/sallyport/internal/schema"
)

// Schemas returns the schemas of tools under a configuration.
func (b *Book) Schemas(c catalog.Config) guard.Schemas { return &view{b, c} }

// Tool implements the port of guard/schema: what is pinned of a tool, or what the
// server offers instead where a change only alerts.
func (v *view) Tool(server, name string) (guard.Tool, bool) {
	r, ok := v.page(server).records[key{definition.Tool, name}]
	if !ok {
		return guard.Tool{}, false
	}
	form := r.Pinned
	if r.Offered != nil && r.Pinned != nil && v.config.OnChange == "alert" && !r.Doubted {
		form = r.Offered
	}
	if form == nil {
		return guard.Tool{}, false // nobody trusts it, so its schema means nothing
	}
	return form.schemas(), true
}

// schemas compiles the schemas of a tool once.
func (f *Form) schemas() guard.Tool {
	f.once.Do(func() { f.tool = schema.Tool(f.Definition) })
	return f.tool
}
