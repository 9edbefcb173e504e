// Command data runs the example MCP server "data" alone; see examples/internal/data
// for what it does.
package main

import (
	"os"

	"github.com/sallyport/sallyport/examples/internal/data"
	"github.com/sallyport/sallyport/examples/internal/host"
)

func main() {
	os.Exit(host.Main("data", host.Offer{Name: "data", Addr: "127.0.0.1:39103", New: data.New}))
}
