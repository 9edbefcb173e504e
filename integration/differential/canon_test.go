package differential

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// canonical writes a JSON text in one way: sorted members, numbers as the
// doubles that every SDK keeps at least. It is used on texts that the strict
// decoder accepted, so no member is there twice.
func canonical(text []byte) (string, error) {
	if len(text) == 0 {
		return "undefined", nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("more than one value")
	}
	return write(v), nil
}

func write(v any) string {
	switch v := v.(type) {
	case map[string]any:
		var members []string
		for k, x := range v {
			members = append(members, strconv.Quote(k)+":"+write(x))
		}
		slices.Sort(members)
		return "{" + strings.Join(members, ",") + "}"
	case []any:
		var items []string
		for _, x := range v {
			items = append(items, write(x))
		}
		return "[" + strings.Join(items, ",") + "]"
	case string:
		if !utf8.ValidString(v) {
			return fmt.Sprintf("%x", v)
		}
		return strconv.Quote(v)
	case json.Number:
		return number(string(v))
	case float64:
		return number(strconv.FormatFloat(v, 'g', -1, 64))
	case nil:
		return "null"
	default:
		return fmt.Sprint(v)
	}
}

func number(s string) string {
	switch strings.ToLower(s) {
	case "infinity", "inf", "+inf":
		return "+Inf"
	case "-infinity", "-inf":
		return "-Inf"
	case "nan":
		return "NaN"
	}
	if strings.Contains(s, "0x") {
		i, ok := new(big.Int).SetString(s, 0)
		if !ok {
			return "bad number " + s
		}
		s = i.String()
	}
	f, _ := strconv.ParseFloat(s, 64) // out of range gives an infinity, which is what we want
	if f == 0 {
		f = 0 // no sign: SDKs differ, and no tool can care
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// untag writes what servers/ sent, in the form of canonical. Every value that
// is no null, boolean or string comes as an array whose first item is its kind.
func untag(v any) string {
	items, ok := v.([]any)
	if !ok {
		return write(v)
	}
	rest := items[1:]
	var out []string
	switch items[0] {
	case "#":
		return number(rest[0].(string))
	case "[":
		for _, x := range rest {
			out = append(out, untag(x))
		}
		return "[" + strings.Join(out, ",") + "]"
	case "{":
		for _, x := range rest {
			m := x.([]any)
			out = append(out, strconv.Quote(m[0].(string))+":"+untag(m[1]))
		}
		slices.Sort(out)
		return "{" + strings.Join(out, ",") + "}"
	default:
		return fmt.Sprint(items[0])
	}
}
