package adminapi_test

import (
	"io"
	"log"
)

// quiet swallows what a test server says of connections that the test breaks.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
