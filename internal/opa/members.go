package opa

// member is a top-level member of the input document.
type member uint8

const (
	mVersion member = iota
	mPrincipal
	mServer
	mTarget
	mTool
	mMethod
	mDirection
	mKind
	mRevision
	mFlow // what the key of a decision has of the labels
	// What is below belongs to one call alone. A decision that read none of it
	// holds for every call that is alike above.
	mAuthentication
	mSource
	mLabels
	mTime
	mBudget
	mArguments
	mParams
	members
)

const volatile = 1<<mAuthentication | 1<<mSource | 1<<mLabels | 1<<mTime | 1<<mBudget | 1<<mArguments | 1<<mParams

var memberNames = [members]string{"version", "principal", "server", "target", "tool", "method", "direction", "kind", "revision", "flow",
	"authentication", "source", "labels", "time", "budget", "arguments", "params"}

// memberOf returns the member called name.
func memberOf(name string) (member, bool) {
	switch name {
	case "version":
		return mVersion, true
	case "principal":
		return mPrincipal, true
	case "server":
		return mServer, true
	case "target":
		return mTarget, true
	case "tool":
		return mTool, true
	case "method":
		return mMethod, true
	case "direction":
		return mDirection, true
	case "kind":
		return mKind, true
	case "revision":
		return mRevision, true
	case "flow":
		return mFlow, true
	case "authentication":
		return mAuthentication, true
	case "source":
		return mSource, true
	case "labels":
		return mLabels, true
	case "time":
		return mTime, true
	case "budget":
		return mBudget, true
	case "arguments":
		return mArguments, true
	case "params":
		return mParams, true
	}
	return 0, false
}
