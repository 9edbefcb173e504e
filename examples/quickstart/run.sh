#!/usr/bin/env bash
# Starts the example server and the gateway; Ctrl-C ends both.
set -euo pipefail
cd "$(dirname "$0")/../.."
go build -o bin/crm ./examples/crm
bin/crm & server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
bin/sallyport run -c examples/quickstart/sallyport.yaml
