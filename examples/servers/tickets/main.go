// Command tickets runs the example MCP server "tickets" alone; see examples/internal/tickets
// for what it does.
package main

import (
	"os"

	"github.com/sallyport/sallyport/examples/internal/host"
	"github.com/sallyport/sallyport/examples/internal/tickets"
)

func main() {
	os.Exit(host.Main("tickets", host.Offer{Name: "tickets", Addr: "127.0.0.1:39102", New: tickets.New}))
}
