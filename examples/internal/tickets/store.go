// Package tickets is an example MCP server for one domain: support tickets. Two
// of its tools need the client: closing a ticket asks the user to confirm, and
// summarising one asks the client's model.
package tickets

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

//go:embed tickets.json
var sample []byte

const mostTickets = 1000 // the memory of an example has an end

// Ticket is one request for support.
type Ticket struct {
	ID         string   `json:"id" jsonschema:"the ticket's id, for example T-3"`
	Title      string   `json:"title"`
	CustomerID string   `json:"customer_id" jsonschema:"the customer's id, for example C-1002"`
	Priority   string   `json:"priority" jsonschema:"low, normal, high or urgent"`
	Status     string   `json:"status" jsonschema:"open or closed"`
	History    []string `json:"history" jsonschema:"what was said and done, oldest first"`
	Resolution string   `json:"resolution,omitempty" jsonschema:"how it ended; closed tickets only"`
}

var (
	errUnknown = errors.New("no such ticket; list_tickets shows which there are")
	errClosed  = errors.New("the ticket is already closed")
	errFull    = fmt.Errorf("this server keeps at most %d tickets", mostTickets)
)

// store holds the tickets in memory.
type store struct {
	mu      sync.Mutex
	tickets []Ticket
}

func newStore() (*store, error) {
	s := &store{}
	if err := json.Unmarshal(sample, &s.tickets); err != nil {
		return nil, fmt.Errorf("tickets: read tickets.json: %w", err)
	}
	return s, nil
}

// filter selects tickets; an empty field selects all.
type filter struct{ status, priority, customer string }

func (f filter) takes(t Ticket) bool {
	return (f.status == "" || t.Status == f.status) &&
		(f.priority == "" || t.Priority == f.priority) &&
		(f.customer == "" || t.CustomerID == f.customer)
}

func (s *store) list(f filter) []Ticket {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := []Ticket{}
	for _, t := range s.tickets {
		if f.takes(t) {
			found = append(found, t)
		}
	}
	return found
}

func (s *store) get(id string) (Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(id)
	if i < 0 {
		return Ticket{}, fmt.Errorf("%s: %w", id, errUnknown)
	}
	return s.tickets[i], nil
}

func (s *store) index(id string) int {
	return slices.IndexFunc(s.tickets, func(t Ticket) bool { return t.ID == id })
}

func (s *store) create(title, customer, priority, text string) (Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tickets) >= mostTickets {
		return Ticket{}, errFull
	}
	t := Ticket{
		ID:    fmt.Sprintf("T-%d", len(s.tickets)+1), // tickets are never removed
		Title: title, CustomerID: customer, Priority: priority, Status: "open", History: []string{text},
	}
	s.tickets = append(s.tickets, t)
	return t, nil
}

func (s *store) close(id, resolution string) (Ticket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.index(id)
	if i < 0 {
		return Ticket{}, fmt.Errorf("%s: %w", id, errUnknown)
	}
	if s.tickets[i].Status == "closed" {
		return Ticket{}, fmt.Errorf("%s: %w", id, errClosed)
	}
	s.tickets[i].Status, s.tickets[i].Resolution = "closed", resolution
	return s.tickets[i], nil
}
