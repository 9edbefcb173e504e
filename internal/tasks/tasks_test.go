package tasks_test

import (
	"fmt"
	"testing"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/tasks"
)

func TestATaskIsItsCallersAtItsServer(t *testing.T) {
	o := tasks.New(1000)
	of := func(server, subject string) *guard.Exchange {
		return &guard.Exchange{Server: guard.Server{Name: server}, Principal: guard.Principal{Subject: subject, Issuer: "i"}}
	}
	o.Remember(of("crm", "ada"), "t1", "export")
	o.Remember(of("crm", "ada"), "t1", "report") // the server uses the id again
	for _, c := range []struct {
		x    *guard.Exchange
		task string
		want string
	}{
		{of("crm", "ada"), "t1", "report"}, {of("crm", "eve"), "t1", ""}, {of("erp", "ada"), "t1", ""}, {of("crm", "ada"), "t2", ""},
	} {
		if tool, ok := o.Tool(c.x, c.task); tool != c.want || ok != (c.want != "") {
			t.Errorf("%s %s %s: %q", c.x.Server.Name, c.x.Principal.Subject, c.task, tool)
		}
	}
	for i := range 100_000 { // a server that makes tasks without end
		o.Remember(of("crm", "eve"), fmt.Sprint(i), "export")
	}
}
