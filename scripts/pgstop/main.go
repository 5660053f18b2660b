// Command pgstop ends the PostgreSQL server that tests share, if none of them uses it any more. Without it the server
// ends by itself some seconds after the last test.
package main

import (
	"fmt"
	"os"

	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
)

func main() {
	stopped, err := pgtest.StopShared()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgstop:", err)
		os.Exit(1)
	}
	if !stopped {
		fmt.Fprintln(os.Stderr, "pgstop: somebody else tests here: the server ends after them")
	}
}
