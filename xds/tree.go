package xds

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// treeOf returns m as maps, slices and scalars, ready for any encoder.
// protojson varies its white space on purpose, so its text is not used.
func treeOf(m proto.Message) (any, error) {
	j, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(j))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return whole(v), nil
}

// whole turns numbers into integers where they are, so that no encoder writes
// 1.048576e+06.
func whole(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, c := range v {
			v[k] = whole(c)
		}
	case []any:
		for i, c := range v {
			v[i] = whole(c)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	}
	return v
}
