package transcripts

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// before returns the calls that come before the request of a transcript. Its part
// has a line for each block of calls that is made in turn:
//
//	4 TOKEN search {"q":"x"} => {"content":[]} | TOKEN read {} => {"content":[]}
//
// is a call of search, with its result, and one of read, four times over. In
// place of a token, - means none; "%d" is the number of the call.
func (tr *transcript) before(t *testing.T) []*transcript {
	t.Helper()
	var out []*transcript
	for line := range strings.Lines(tr.part["before"]) {
		times, block, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(times)
		if err != nil {
			t.Fatalf("%s: before: %q", tr.path, line)
		}
		for range n {
			for one := range strings.SplitSeq(block, " | ") {
				out = append(out, tr.earlier(t, strings.ReplaceAll(one, "%d", strconv.Itoa(len(out)))))
			}
		}
	}
	return out
}

func (tr *transcript) earlier(t *testing.T, one string) *transcript {
	t.Helper()
	call, result, ok := strings.Cut(one, " => ")
	word := strings.SplitN(call, " ", 3)
	if !ok || len(word) != 3 {
		t.Fatalf("%s: before: %q", tr.path, one)
	}
	head := "POST\n"
	if word[0] != "-" {
		head += "Authorization: Bearer " + word[0] + "\n"
	}
	return &transcript{path: tr.path, part: map[string]string{
		"request": head + fmt.Sprintf("\n"+`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, word[1], word[2]),
		"reply":   "200\nContent-Type: application/json\n\n" + `{"jsonrpc":"2.0","id":1,"result":` + result + "}",
	}}
}

// passed checks that an earlier call was let through, and its answer too.
func (tr *transcript) passed(t *testing.T, got outcome, judged []receipt) {
	t.Helper()
	for _, r := range judged {
		if r.Action != "allow" {
			t.Fatalf("before the request: %s%s%s", tr.part["request"], got.client, r.text())
		}
	}
	if len(judged) == 0 {
		t.Error("nothing was written down")
	}
}
