// Package crm is an example MCP server for one domain: the customers of a
// company, whom to talk to there, and what was noted about them.
package crm

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed customers.json
var sample []byte

const notesPerCustomer = 100 // the memory of an example has an end

// Customer is one company that buys from us.
type Customer struct {
	ID      string    `json:"id" jsonschema:"the customer's id, for example C-1002"`
	Name    string    `json:"name"`
	Segment string    `json:"segment" jsonschema:"smb, midmarket or enterprise"`
	Country string    `json:"country" jsonschema:"ISO 3166 code of two letters"`
	Since   string    `json:"since" jsonschema:"customer since this date"`
	Revenue int       `json:"annual_revenue_eur" jsonschema:"revenue of the last year in euros"`
	People  []Contact `json:"contacts"`
}

// Contact is a person at a customer.
type Contact struct {
	Name  string `json:"name"`
	Role  string `json:"role"`
	Email string `json:"email"`
}

// Note is what somebody wrote down about a customer.
type Note struct {
	Number int    `json:"number" jsonschema:"counts from 1 for each customer"`
	Text   string `json:"text"`
}

// store holds the customers. They do not change; notes are added.
type store struct {
	customers []Customer
	mu        sync.Mutex
	notes     map[string][]Note
}

func newStore() (*store, error) {
	s := &store{notes: make(map[string][]Note)}
	if err := json.Unmarshal(sample, &s.customers); err != nil {
		return nil, fmt.Errorf("crm: read customers.json: %w", err)
	}
	return s, nil
}

func (s *store) find(id string) (Customer, bool) {
	i := slices.IndexFunc(s.customers, func(c Customer) bool { return c.ID == id })
	if i < 0 {
		return Customer{}, false
	}
	return s.customers[i], true
}

// search returns the customers whose name contains query, in any case; an empty
// segment means every segment.
func (s *store) search(query, segment string) []Customer {
	found := []Customer{}
	for _, c := range s.customers {
		if (segment == "" || c.Segment == segment) && strings.Contains(strings.ToLower(c.Name), strings.ToLower(query)) {
			found = append(found, c)
		}
	}
	return found
}

func (s *store) notesOf(id string) []Note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Note{}, s.notes[id]...)
}

func (s *store) note(id, text string) (Note, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.notes[id])
	if n >= notesPerCustomer {
		return Note{}, fmt.Errorf("customer %s already has %d notes, which is the most this server keeps", id, n)
	}
	note := Note{Number: n + 1, Text: text}
	s.notes[id] = append(s.notes[id], note)
	return note, nil
}
