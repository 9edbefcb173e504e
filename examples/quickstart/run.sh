#!/usr/bin/env bash
# Starts the example servers and the gateway in front of them; Ctrl-C, SIGTERM or the end of either ends both.
# Arguments go to `sallyport run`; CONFIG and SERVERS (flags of mcp-examples) choose other ports.
set -euo pipefail
cd "$(dirname "$0")/../.."
config=${CONFIG:-examples/quickstart/sallyport.yaml}

busy() { # is something listening there?
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
if [ -z "${CONFIG:-}" ]; then
  for port in 8080 9001 9002 9003 9004 39101 39102 39103; do
    if busy "$port"; then
      echo "quickstart: port $port of 127.0.0.1 is in use, perhaps by another 'make run'. Stop what listens there, or copy" >&2
      echo "$config, change its ports, and start it with CONFIG=that-file SERVERS='-crm :PORT ...' $0" >&2
      exit 1
    fi
  done
fi

go build -o bin/mcp-examples ./examples/cmd/mcp-examples
[ -x bin/sallyport ] || go build -o bin/sallyport ./cmd/sallyport
servers='' gateway=''
finish() { # also after a signal that reached only this shell
  trap - EXIT INT TERM HUP
  for pid in $gateway $servers; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $gateway $servers; do wait "$pid" 2>/dev/null || true; done
}
trap finish EXIT
trap 'finish; exit 0' INT TERM HUP
# shellcheck disable=SC2086 # SERVERS is a list of flags
bin/mcp-examples ${SERVERS:-} & servers=$!
bin/sallyport run -c "$config" "$@" & gateway=$!
status=0
wait -n || status=$?
exit "$status"
