package guard

type slot struct {
	key   any
	value any
}

// Slot is a guard's private place in each exchange, for what it must remember
// between messages and until Settle. Values must not point into messages.
type Slot[T any] struct{ key *byte }

// NewSlot makes a slot. A package keeps it in a variable.
func NewSlot[T any]() Slot[T] { return Slot[T]{key: new(byte)} }

// Get returns what the slot holds in x.
func (s Slot[T]) Get(x *Exchange) (value T, ok bool) {
	for i := range x.slots {
		if x.slots[i].key == s.key {
			value, ok = x.slots[i].value.(T)
			return value, ok
		}
	}
	return value, false
}

// Set stores value in x.
func (s Slot[T]) Set(x *Exchange, value T) {
	for i := range x.slots {
		if x.slots[i].key == s.key {
			x.slots[i].value = value
			return
		}
	}
	x.slots = append(x.slots, slot{s.key, value})
}
