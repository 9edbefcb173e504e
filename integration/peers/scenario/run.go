package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// limit is how long one step may take.
const limit = time.Minute

// Client is a Go SDK, reduced to what a scenario needs. One goroutine uses it.
type Client interface {
	// Connect returns the revision that was agreed on.
	Connect(ctx context.Context, url string, p Plan) (revision string, err error)
	Tools(ctx context.Context) (names []string, err error)
	// Call returns the text of the result; failed tells a tool error from success.
	// For each progress notification of this call it calls progress, from any goroutine.
	Call(ctx context.Context, c Call, progress func()) (text string, failed bool, err error)
	Resources(ctx context.Context) (int, error)
	Read(ctx context.Context, uri string) (bytes int, err error)
	Prompts(ctx context.Context) (int, error)
	Prompt(ctx context.Context, p Prompt) (messages int, err error)
	Ping(ctx context.Context) error
	Close() error
	// Asked returns how often the user and the model were asked so far.
	Asked() (user, model int)
	// Fault turns an error of this SDK into what its caller can know of it.
	Fault(err error) *Fault
}

// Run takes the steps of p with c. It stops early only when it cannot connect.
func Run(ctx context.Context, c Client, url string, p Plan) Steps {
	r := &runner{ctx: ctx, c: c}
	revision := ""
	if !r.step("connect", func(ctx context.Context) (detail string, err error) {
		revision, err = c.Connect(ctx, url, p)
		if err == nil && p.Era == Modern && revision != ModernRevision {
			err = fmt.Errorf("speaks %s", revision)
		}
		return "revision=" + revision, err
	}) {
		return r.steps
	}
	if p.ListTools {
		r.step("list_tools", func(ctx context.Context) (string, error) {
			names, err := c.Tools(ctx)
			if err == nil && p.Call != nil && !slices.Contains(names, p.Call.Name) {
				err = fmt.Errorf("%s is not among %s", p.Call.Name, strings.Join(names, " "))
			}
			return fmt.Sprintf("tools=%d", len(names)), err
		})
	}
	if p.Call != nil {
		r.call("call", *p.Call)
	}
	if p.Unknown != "" {
		r.refused("unknown_tool", Call{Name: p.Unknown, Arguments: map[string]any{}})
		r.again("call_after_unknown", p)
	}
	if p.Refused != nil {
		r.refused("refused", *p.Refused)
		r.again("call_after_refused", p)
	}
	if p.Progress != nil {
		r.progress(*p.Progress)
	}
	if p.Elicit != nil {
		r.asked("elicit", *p.Elicit, func() int { n, _ := c.Asked(); return n })
	}
	if p.Sample != nil {
		r.asked("sample", *p.Sample, func() int { _, n := c.Asked(); return n })
	}
	if p.Slow != nil {
		r.cancel(*p.Slow)
		r.again("call_after_cancel", p)
	}
	r.lists(p)
	if p.Ping && revision < ModernRevision {
		r.step("ping", func(ctx context.Context) (string, error) { return "", c.Ping(ctx) })
	}
	r.step("close", func(context.Context) (string, error) { return "", c.Close() })
	return r.steps
}

type runner struct {
	ctx   context.Context
	c     Client
	steps Steps
}

func (r *runner) step(name string, do func(ctx context.Context) (string, error)) bool {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	detail, err := do(ctx)
	s := Step{Name: name, OK: err == nil, Detail: detail}
	if err != nil {
		s.Error = r.c.Fault(err)
	}
	r.steps = append(r.steps, s)
	return s.OK
}

func (r *runner) call(name string, c Call) {
	r.step(name, func(ctx context.Context) (string, error) {
		text, failed, err := r.c.Call(ctx, c, func() {})
		return judge(c, text, failed, err)
	})
}

func (r *runner) again(name string, p Plan) {
	if p.Call != nil {
		r.call(name, *p.Call)
	}
}

func (r *runner) refused(name string, c Call) {
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	text, failed, err := r.c.Call(ctx, c, func() {})
	s := Step{Name: name}
	switch {
	case err != nil:
		s.Error = r.c.Fault(err)
		s.OK = s.Error.Message != "" && ctx.Err() == nil
	case failed:
		s.OK, s.Detail = text != "", "tool error: "+short(text)
	default:
		s.Detail = "was not refused: " + short(text)
	}
	r.steps = append(r.steps, s)
}

func (r *runner) progress(c Call) {
	r.step("progress", func(ctx context.Context) (string, error) {
		seen := make(chan struct{}, 1000)
		text, failed, err := r.c.Call(ctx, c, func() { seen <- struct{}{} })
		detail, err := judge(c, text, failed, err)
		if err == nil {
			// An SDK may hand out the notification on another goroutine than the result.
			select {
			case <-seen:
				time.Sleep(20 * time.Millisecond)
				detail = fmt.Sprintf("notifications=%d", len(seen)+1)
			case <-time.After(limit):
				err = errors.New("no progress came")
			}
		}
		return detail, err
	})
}

func (r *runner) asked(name string, c Call, count func() int) {
	r.step(name, func(ctx context.Context) (string, error) {
		before := count()
		text, failed, err := r.c.Call(ctx, c, func() {})
		detail, err := judge(c, text, failed, err)
		if err == nil && count() == before {
			err = fmt.Errorf("nobody was asked: %s", detail)
		}
		return fmt.Sprintf("asked=%d", count()-before), err
	})
}

func (r *runner) cancel(c Call) {
	r.step("cancel", func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		started := make(chan struct{}, 1000)
		ended := make(chan error, 1)
		go func() {
			_, _, err := r.c.Call(ctx, c, func() { started <- struct{}{} })
			ended <- err
		}()
		select {
		case <-started:
		case <-time.After(500 * time.Millisecond):
		case err := <-ended:
			return "", fmt.Errorf("ended before it was cancelled: %w", err)
		}
		cancel()
		select {
		case err := <-ended:
			if err == nil {
				return "", errors.New("succeeded although it was cancelled")
			}
			return "ended with an error", nil
		case <-time.After(limit):
			return "", errors.New("did not end when it was cancelled")
		}
	})
}

func (r *runner) lists(p Plan) {
	if p.Resource != "" {
		r.step("list_resources", func(ctx context.Context) (string, error) {
			n, err := r.c.Resources(ctx)
			return fmt.Sprintf("resources=%d", n), err
		})
		r.step("read_resource", func(ctx context.Context) (string, error) {
			n, err := r.c.Read(ctx, p.Resource)
			return fmt.Sprintf("bytes=%d", n), err
		})
	}
	if p.Prompt != nil {
		r.step("list_prompts", func(ctx context.Context) (string, error) {
			n, err := r.c.Prompts(ctx)
			return fmt.Sprintf("prompts=%d", n), err
		})
		r.step("get_prompt", func(ctx context.Context) (string, error) {
			n, err := r.c.Prompt(ctx, *p.Prompt)
			return fmt.Sprintf("messages=%d", n), err
		})
	}
}

func judge(c Call, text string, failed bool, err error) (string, error) {
	switch {
	case err != nil:
		return "", err
	case failed:
		return "", fmt.Errorf("tool error: %s", short(text))
	case !strings.Contains(text, c.Want):
		return "", fmt.Errorf("%q is not in the result: %s", c.Want, short(text))
	}
	return short(text), nil
}

func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
