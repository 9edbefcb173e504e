package schema

// seen is what the parts of a schema have evaluated of one value.
type seen struct {
	props    map[string]struct{}
	allProps bool
	items    int
	marked   map[int]struct{}
	allItems bool
	declares bool // some part names properties
	open     bool // some part says what additional ones may be
}

func (s *seen) prop(name string) {
	if s.props == nil {
		s.props = make(map[string]struct{})
	}
	s.props[name] = struct{}{}
}

func (s *seen) merge(o *seen) {
	for k := range o.props {
		s.prop(k)
	}
	for i := range o.marked {
		s.mark(i)
	}
	s.items = max(s.items, o.items)
	s.allProps, s.allItems = s.allProps || o.allProps, s.allItems || o.allItems
	s.declares, s.open = s.declares || o.declares, s.open || o.open
}

func (s *seen) mark(i int) {
	if s.marked == nil {
		s.marked = make(map[int]struct{})
	}
	s.marked[i] = struct{}{}
}
