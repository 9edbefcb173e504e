package trace

import (
	"strings"
	"unicode/utf8"

	commonv1 "go.opentelemetry.io/proto/otlp/common/v1"
)

// maxText bounds each text in a span.
const maxText = 256

// attributes is a list that is being made. What is empty is left out.
type attributes []*commonv1.KeyValue

func (a *attributes) text(key, value string) {
	if value == "" {
		return
	}
	if len(value) > maxText {
		cut := maxText
		for cut > maxText-utf8.UTFMax && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "..."
	}
	value = strings.ToValidUTF8(value, "\uFFFD") // the receiver would refuse the whole batch

	v := &struct { // together, as there are many of them
		kv commonv1.KeyValue
		v  commonv1.AnyValue
		s  commonv1.AnyValue_StringValue
	}{}
	v.kv.Key, v.kv.Value, v.v.Value, v.s.StringValue = key, &v.v, &v.s, value
	*a = append(*a, &v.kv)
}

func (a *attributes) texts(key string, values []string) {
	if len(values) == 0 {
		return
	}
	list := &commonv1.ArrayValue{}
	for _, v := range values[:min(len(values), 64)] {
		var one attributes
		one.text("", v)
		for _, kv := range one {
			list.Values = append(list.Values, kv.Value)
		}
	}
	*a = append(*a, &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_ArrayValue{ArrayValue: list}}})
}

func (a *attributes) int(key string, value int64) {
	*a = append(*a, &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_IntValue{IntValue: value}}})
}

func (a *attributes) float(key string, value float64) {
	*a = append(*a, &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_DoubleValue{DoubleValue: value}}})
}

func (a *attributes) flag(key string, value bool) {
	if value {
		*a = append(*a, &commonv1.KeyValue{Key: key, Value: &commonv1.AnyValue{Value: &commonv1.AnyValue_BoolValue{BoolValue: true}}})
	}
}

func text(s string) *commonv1.AnyValue_StringValue {
	return &commonv1.AnyValue_StringValue{StringValue: s}
}
