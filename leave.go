package ops

import "context"

type leaveKey struct{}

// WithLeave returns a context of work that another may take over: before a write of it
// is sent again, leave is asked whether that is still ours to do. Its error says why
// not.
func WithLeave(ctx context.Context, leave func(ctx context.Context) error) context.Context {
	return context.WithValue(ctx, leaveKey{}, leave)
}

// Leave asks whether a write of the work that ctx is of may be sent again. A process
// cannot tell that it was paused; its calls, which run out of time meanwhile, would be
// sent after somebody else has gone on. It is nil where nobody is to be asked.
func Leave(ctx context.Context) error {
	if leave, ok := ctx.Value(leaveKey{}).(func(context.Context) error); ok {
		return leave(ctx)
	}
	return nil
}
