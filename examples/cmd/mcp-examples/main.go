// Command mcp-examples runs the three example MCP servers in one process, each
// at an address of its own.
package main

import (
	"os"

	"github.com/sallyport/sallyport/examples/internal/crm"
	"github.com/sallyport/sallyport/examples/internal/data"
	"github.com/sallyport/sallyport/examples/internal/host"
	"github.com/sallyport/sallyport/examples/internal/tickets"
)

func main() {
	os.Exit(host.Main("mcp-examples",
		host.Offer{Name: "crm", Addr: "127.0.0.1:39101", New: crm.New},
		host.Offer{Name: "tickets", Addr: "127.0.0.1:39102", New: tickets.New},
		host.Offer{Name: "data", Addr: "127.0.0.1:39103", New: data.New},
	))
}
