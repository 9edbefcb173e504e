package gate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/internal/gate"
)

func TestAGuardThatIgnoresItsContextHoldsNobodyUp(t *testing.T) {
	free := make(chan struct{})
	ended := make(chan struct{})
	v, err := gate.Await(t.Context(), time.Millisecond, func(context.Context) (guard.Verdict, error) {
		defer close(ended)
		<-free
		return guard.Pass(), nil
	})
	if !errors.Is(err, context.DeadlineExceeded) || v.Action != guard.Deny {
		t.Errorf("got %s, %v", v.Action, err)
	}
	close(free)
	<-ended // the late answer is nobody's, and must not block who gives it
}

func TestAnAnswerInTimeIsTheAnswer(t *testing.T) {
	broken := errors.New("down")
	for _, want := range []error{nil, broken} {
		v, err := gate.Await(t.Context(), time.Minute, func(context.Context) (guard.Verdict, error) { return guard.Pass(), want })
		if !errors.Is(err, want) || v.Action != guard.Allow {
			t.Errorf("got %s, %v", v.Action, err)
		}
	}
}

func TestAWaitEndsWithItsExchange(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v, err := gate.Await(ctx, time.Minute, func(inner context.Context) (guard.Verdict, error) {
		cancel()
		<-inner.Done()
		return guard.Verdict{}, inner.Err()
	})
	if !errors.Is(err, context.Canceled) || v.Action != guard.Deny {
		t.Errorf("got %s, %v", v.Action, err)
	}
}
