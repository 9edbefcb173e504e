package mcp

// level names the objects of a message whose keys the protocol defines.
type level uint8

const (
	levelNone level = iota
	levelEnvelope
	levelParams
	levelRef  // params.ref of completion/complete
	levelMeta // params._meta
	levelResult
	levelResultMeta // result._meta, whose protocol version means nothing
	levelError
	levelList     // an array of items; an object in its place is the application's own
	levelItem     // a content block, tool, resource, prompt, message, or request within a result
	levelRequests // result.inputRequests and the like, whose keys are the server's own
	levelInner    // params of a request within a result
)

// slot names the values of a message that decoding needs to find again.
type slot uint8

const (
	slotNone slot = iota
	slotVersion
	slotID
	slotMethod
	slotParams
	slotResult
	slotError
	slotName
	slotURI
	slotTask
	slotRef
	slotRefType
	slotRefName
	slotRefURI
	slotMeta
	slotMetaVersion
	slotMetaCapabilities
	slotCode
	slotMessage
	slotCount
)

// Keys of params._meta that a modern request must carry, and those that the
// protocol reserves beside them (MCP 2026-07-28, basic, _meta).
const (
	MetaProtocolVersion    = "io.modelcontextprotocol/protocolVersion"
	MetaClientCapabilities = "io.modelcontextprotocol/clientCapabilities"
	MetaClientInfo         = "io.modelcontextprotocol/clientInfo"
	MetaServerInfo         = "io.modelcontextprotocol/serverInfo"
	MetaLogLevel           = "io.modelcontextprotocol/logLevel"
	MetaSubscriptionID     = "io.modelcontextprotocol/subscriptionId"
	metaRelatedTask        = "io.modelcontextprotocol/related-task"
)

// place says what a key at a level stands for: the slot of its value, and the
// level of its value when that is an object with known keys of its own.
func place(at level, key []byte) (slot, level) {
	switch at {
	case levelEnvelope:
		switch string(key) {
		case "jsonrpc":
			return slotVersion, levelNone
		case "id":
			return slotID, levelNone
		case "method":
			return slotMethod, levelNone
		case "params":
			return slotParams, levelParams
		case "result":
			return slotResult, levelResult
		case "error":
			return slotError, levelError
		}
	case levelParams:
		switch string(key) {
		case "name":
			return slotName, levelNone
		case "uri":
			return slotURI, levelNone
		case "taskId":
			return slotTask, levelNone
		case "ref":
			return slotRef, levelRef
		case "_meta":
			return slotMeta, levelMeta
		case "messages", "tools":
			return slotNone, levelList
		case "inputRequests":
			return slotNone, levelRequests
		}
	case levelResult:
		switch string(key) {
		case "_meta":
			return slotNone, levelResultMeta
		case "content", "contents", "messages", "tools", "resources", "resourceTemplates", "prompts", "roots", "tasks":
			return slotNone, levelList
		case "inputRequests":
			return slotNone, levelRequests
		}
	case levelItem:
		switch string(key) {
		case "content", "resource", "annotations":
			return slotNone, levelItem
		case "arguments", "icons":
			return slotNone, levelList
		case "params":
			return slotNone, levelInner
		}
	case levelRequests:
		return slotNone, levelItem
	case levelInner:
		if string(key) == "messages" || string(key) == "tools" {
			return slotNone, levelList
		}
	case levelRef:
		switch string(key) {
		case "type":
			return slotRefType, levelNone
		case "name":
			return slotRefName, levelNone
		case "uri":
			return slotRefURI, levelNone
		}
	case levelMeta:
		switch string(key) {
		case MetaProtocolVersion:
			return slotMetaVersion, levelNone
		case MetaClientCapabilities:
			return slotMetaCapabilities, levelNone
		}
	case levelError:
		switch string(key) {
		case "code":
			return slotCode, levelNone
		case "message":
			return slotMessage, levelNone
		}
	}
	return slotNone, levelNone
}

// maxFolded is longer than every known key.
const maxFolded = 64

// impostor reports whether key equals a key of its level only after case
// folding, which encoding/json and other lenient decoders do: such a key is
// one thing to us and another to the server behind us.
func impostor(at level, key []byte) bool {
	if at == levelItem && isCommon(key) {
		return false
	}
	var buf [maxFolded]byte
	folded, ok := fold(buf[:0], key)
	if !ok {
		return false
	}
	known, ok := knownKeys[at][string(folded)]
	return ok && known != string(key)
}

// isCommon knows the keys that lists are full of, to save the folding.
func isCommon(key []byte) bool {
	switch string(key) {
	case "type", "text", "name", "title", "description", "inputSchema", "outputSchema", "annotations", "uri",
		"mimeType", "data", "role", "content", "_meta", "readOnlyHint", "destructiveHint":
		return true
	}
	return false
}

// fold appends key in lower case, with the letters beyond ASCII that some
// decoder takes for an ASCII one: the long s, the Kelvin sign (Unicode simple
// folding), and the Turkish i with and without its dot (Java's
// equalsIgnoreCase). It gives up on what can be no known key.
func fold(dst, key []byte) ([]byte, bool) {
	for i := 0; i < len(key); i++ {
		c := key[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c < 0x80:
		case c == 0xc5 && i+1 < len(key) && key[i+1] == 0xbf: // U+017F
			c = 's'
			i++
		case c == 0xc4 && i+1 < len(key) && (key[i+1] == 0xb0 || key[i+1] == 0xb1): // U+0130, U+0131
			c = 'i'
			i++
		case c == 0xe2 && i+2 < len(key) && key[i+1] == 0x84 && key[i+2] == 0xaa: // U+212A
			c = 'k'
			i += 2
		default:
			return nil, false
		}
		if len(dst) == maxFolded {
			return nil, false
		}
		dst = append(dst, c)
	}
	return dst, true
}

// knownKeys has, per level, every key that the protocol defines there in some
// revision, under its folded form.
var knownKeys = [...]map[string]string{
	levelEnvelope:   foldedKeys("jsonrpc", "id", "method", "params", "result", "error"),
	levelParams:     foldedKeys(paramsKeys...),
	levelInner:      foldedKeys(paramsKeys...),
	levelRef:        foldedKeys("type", "name", "uri"),
	levelMeta:       foldedKeys(metaKeys...),
	levelResultMeta: foldedKeys(metaKeys...),
	levelResult: foldedKeys("_meta", "resultType", "content", "structuredContent", "isError", "inputRequests",
		"requestState", "tools", "resources", "resourceTemplates", "prompts", "contents", "messages",
		"description", "completion", "nextCursor", "protocolVersion", "supportedVersions", "capabilities",
		"serverInfo", "instructions", "ttlMs", "cacheScope", "task", "tasks", "taskId", "status",
		"statusMessage", "createdAt", "lastUpdatedAt", "ttl", "pollInterval", "pollIntervalMs", "result",
		"error", "roots", "action", "role", "model", "stopReason"),
	levelError: foldedKeys("code", "message", "data"),
	levelItem: foldedKeys("_meta", "type", "text", "data", "mimeType", "uri", "uriTemplate", "name", "title",
		"description", "size", "resource", "blob", "annotations", "inputSchema", "outputSchema", "execution",
		"icons", "arguments", "required", "role", "content", "method", "params", "src", "sizes", "audience",
		"priority", "lastModified", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint",
		"taskId", "status", "statusMessage", "isError", "structuredContent", "toolUseId", "input", "id"),
}

var paramsKeys = []string{"_meta", "name", "arguments", "uri", "cursor", "taskId", "task", "ref", "argument",
	"context", "protocolVersion", "capabilities", "clientInfo", "level", "requestId", "reason",
	"progressToken", "progress", "total", "message", "inputResponses", "inputRequests", "requestState",
	"notifications", "data", "logger", "elicitationId", "mode", "url", "requestedSchema", "messages",
	"systemPrompt", "tools", "toolChoice", "includeContext", "modelPreferences", "temperature",
	"maxTokens", "stopSequences", "metadata", "status", "statusMessage", "createdAt", "lastUpdatedAt",
	"ttl", "ttlMs", "pollInterval", "pollIntervalMs", "result", "error"}

var metaKeys = []string{MetaProtocolVersion, MetaClientCapabilities, MetaClientInfo, MetaServerInfo, MetaLogLevel,
	MetaSubscriptionID, metaRelatedTask, "progressToken", "traceparent", "tracestate", "baggage"}

func foldedKeys(keys ...string) map[string]string {
	m := make(map[string]string, len(keys))
	for _, k := range keys {
		folded, _ := fold(nil, []byte(k))
		m[string(folded)] = k
	}
	return m
}
