// Command garde secures a company's APIs by one recipe: it is the Server that issues tokens, the Gate that checks them,
// and the tools to run both.
package main

import (
	"os"

	"github.com/gardeauth/garde/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
