// Command playbook runs the example MCP server "playbook", which signs its
// instructions and prompts; see examples/internal/playbook. SEGMENT_KEY names a
// file with its private key, such as `openssl genpkey -algorithm ed25519` makes;
// SEGMENT_SERVER is its name in the gateway's registry, "playbook" when absent.
package main

import (
	"cmp"
	"fmt"
	"os"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/sallyport/sallyport/examples/internal/host"
	"github.com/sallyport/sallyport/examples/internal/playbook"
	"github.com/sallyport/sallyport/segment"
)

func main() {
	os.Exit(host.Main("playbook", host.Offer{Name: "playbook", Addr: "127.0.0.1:39104", New: open}))
}

func open() (*mcp.Server, error) {
	text, err := os.ReadFile(os.Getenv("SEGMENT_KEY")) //nolint:gosec // whoever starts the server says where its key is
	if err != nil {
		return nil, fmt.Errorf("SEGMENT_KEY: %w", err)
	}
	key, err := segment.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("SEGMENT_KEY: %w", err)
	}
	return playbook.New(cmp.Or(os.Getenv("SEGMENT_SERVER"), "playbook"), key), nil
}
