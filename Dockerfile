# syntax=docker/dockerfile:1
# Two images: `gateway` (the default) and `examples`, the three example MCP servers.
#   docker build -t sallyport .
#   docker build -t sallyport-examples --target examples .

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# Static and without paths, ids or times of the build: the same source gives the same bytes.
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false"
RUN go build -ldflags="-s -w -buildid=" -o /out/sallyport ./cmd/sallyport
RUN go build -ldflags="-s -w -buildid=" -o /out/mcp-examples ./examples/cmd/mcp-examples
RUN mkdir /out/state

FROM gcr.io/distroless/static-debian12:nonroot AS examples
LABEL org.opencontainers.image.title="sallyport-examples" \
      org.opencontainers.image.description="Example MCP servers: crm, tickets, data" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/mcp-examples /mcp-examples
USER 65532:65532
ENTRYPOINT ["/mcp-examples"]

FROM gcr.io/distroless/static-debian12:nonroot AS gateway
LABEL org.opencontainers.image.title="sallyport" \
      org.opencontainers.image.description="MCP gateway that plugs into Envoy" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/sallyport /sallyport
# A fresh volume takes its owner from here.
COPY --from=build --chown=65532:65532 /out/state /var/lib/sallyport
USER 65532:65532
ENTRYPOINT ["/sallyport"]
CMD ["serve", "-c", "/etc/sallyport/sallyport.yaml"]
