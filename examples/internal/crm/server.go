package crm

import (
	"context"
	"fmt"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
)

const (
	listURI     = "crm://customers"
	templateURI = "crm://customers/{id}"
	briefPrompt = "account_brief"
)

// New returns the server with its sample customers. Notes live in its memory.
func New() (*mcp.Server, error) {
	s, err := newStore()
	if err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "crm", Title: "Customers", Version: "1.0.0"}, &mcp.ServerOptions{
		Instructions:      "Customers of the company. Search by name first, then read one by its id.",
		Capabilities:      &mcp.ServerCapabilities{},
		CompletionHandler: s.complete,
	})
	if err := s.addTools(server); err != nil {
		return nil, err
	}
	server.AddResource(&mcp.Resource{URI: listURI, Name: "customers", Title: "All customers",
		Description: "Ids and names of all customers.", MIMEType: "application/json"}, s.readList)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: templateURI, Name: "customer", Title: "One customer",
		Description: "A customer with contacts.", MIMEType: "application/json"}, s.readOne)
	server.AddPrompt(&mcp.Prompt{Name: briefPrompt, Title: "Account brief",
		Description: "Prepares for a talk with a customer.",
		Arguments:   []*mcp.PromptArgument{{Name: "id", Description: "the customer's id", Required: true}}}, s.brief)
	return server, nil
}

func (s *store) readList(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	hits := make([]Hit, 0, len(s.customers))
	for _, c := range s.customers {
		hits = append(hits, Hit{c.ID, c.Name, c.Segment, c.Country})
	}
	return host.JSON(r.Params.URI, hits)
}

func (s *store) readOne(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	c, ok := s.find(strings.TrimPrefix(r.Params.URI, listURI+"/"))
	if !ok {
		return nil, mcp.ResourceNotFoundError(r.Params.URI)
	}
	return host.JSON(r.Params.URI, c)
}

// brief embeds the customer, so that the model needs no further call.
func (s *store) brief(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	c, ok := s.find(r.Params.Arguments["id"])
	if !ok {
		return nil, host.InvalidParams(unknown(r.Params.Arguments["id"]))
	}
	contents, err := host.JSON(listURI+"/"+c.ID, c)
	if err != nil {
		return nil, err
	}
	return &mcp.GetPromptResult{
		Description: "Brief for a talk with " + c.Name,
		Messages: []*mcp.PromptMessage{
			{Role: "user", Content: &mcp.EmbeddedResource{Resource: contents.Contents[0]}},
			{Role: "user", Content: &mcp.TextContent{Text: fmt.Sprintf("I meet %s today. Tell me in five lines who they are, what they buy for, and whom to ask for.", c.Name)}},
		},
	}, nil
}

// complete offers customer ids, for the prompt and for the resource template.
func (s *store) complete(_ context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
	ref := r.Params.Ref
	known := ref.Name == briefPrompt || ref.URI == templateURI
	if !known || r.Params.Argument.Name != "id" {
		return nil, host.InvalidParams(fmt.Errorf("nothing to complete for argument %q of %q", r.Params.Argument.Name, ref.Name+ref.URI))
	}
	values := []string{}
	for _, c := range s.customers {
		if strings.HasPrefix(c.ID, r.Params.Argument.Value) {
			values = append(values, c.ID)
		}
	}
	return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: values, Total: len(values)}}, nil
}
