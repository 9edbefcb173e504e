// Package data is an example MCP server for one domain: the datasets of a
// company. Two of its tools are slow on purpose and tell how far they are:
// export_dataset and watch_dataset.
package data

import (
	"embed"
	"encoding/csv"
	"fmt"
	"path"
	"slices"
	"strings"
)

//go:embed sets/*.csv
var sets embed.FS

// dataset is one table. It never changes.
type dataset struct {
	name    string
	about   string
	columns []string
	rows    [][]string
}

type store struct{ datasets []dataset }

func newStore() (*store, error) {
	s := &store{}
	for _, d := range []dataset{
		{name: "sales", about: "Units and revenue per month, region and product"},
		{name: "sensors", about: "Readings of the machines, one a second"},
		{name: "stock", about: "What lies in which warehouse"},
	} {
		f, err := sets.Open(path.Join("sets", d.name+".csv"))
		if err != nil {
			return nil, fmt.Errorf("data: open %s: %w", d.name, err)
		}
		rows, err := csv.NewReader(f).ReadAll()
		_ = f.Close() // read from memory; nothing can be lost
		if err != nil || len(rows) < 2 {
			return nil, fmt.Errorf("data: read %s: %d rows: %w", d.name, len(rows), err)
		}
		d.columns, d.rows = rows[0], rows[1:]
		s.datasets = append(s.datasets, d)
	}
	return s, nil
}

func (s *store) names() []string {
	names := make([]string, len(s.datasets))
	for i, d := range s.datasets {
		names[i] = d.name
	}
	return names
}

func (s *store) find(name string) (dataset, error) {
	for _, d := range s.datasets {
		if d.name == name {
			return d, nil
		}
	}
	return dataset{}, fmt.Errorf("no dataset is called %q; there are %s", name, strings.Join(s.names(), ", "))
}

// where returns the rows whose column equals value; an empty column means all.
func (d dataset) where(column, value string) ([][]string, error) {
	if column == "" {
		return d.rows, nil
	}
	i := slices.Index(d.columns, column)
	if i < 0 {
		return nil, fmt.Errorf("dataset %s has no column %q; it has %s", d.name, column, strings.Join(d.columns, ", "))
	}
	found := [][]string{}
	for _, r := range d.rows {
		if r[i] == value {
			found = append(found, r)
		}
	}
	return found, nil
}
