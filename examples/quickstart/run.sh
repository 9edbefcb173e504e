#!/usr/bin/env bash
# Starts the example servers and the gateway; Ctrl-C ends both.
set -euo pipefail
cd "$(dirname "$0")/../.."
go build -o bin/mcp-examples ./examples/cmd/mcp-examples
bin/mcp-examples & servers=$!
trap 'kill "$servers" 2>/dev/null || true' EXIT
bin/sallyport run -c examples/quickstart/sallyport.yaml
