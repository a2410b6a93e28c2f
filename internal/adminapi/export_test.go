package adminapi

import (
	"context"
	"time"
)

// SetWait replaces the waiting between tries, for tests that cross a real socket.
func (c *Client) SetWait(wait func(ctx context.Context, d time.Duration) error) { c.wait = wait }
