// Command crm runs the example MCP server "crm" alone; see examples/internal/crm
// for what it does.
package main

import (
	"os"

	"github.com/sallyport/sallyport/examples/internal/crm"
	"github.com/sallyport/sallyport/examples/internal/host"
)

func main() {
	os.Exit(host.Main("crm", host.Offer{Name: "crm", Addr: "127.0.0.1:39101", New: crm.New}))
}
