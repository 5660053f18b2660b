package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// readme writes the commands of README.md, "Protect your own API in five minutes", to 1.sh, 2.sh … as they stand there, one
// file for each block after the first, which is an API to try with: one that answers the same stands in its place. Ports
// are this test's own, and what runs in the background leaves its process id.
func readme(ts *testscript.TestScript, _ bool, _ []string) {
	raw, err := os.ReadFile("../../README.md")
	ts.Check(err)
	_, section, found := strings.Cut(string(raw), "\n## Protect your own API in five minutes\n")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		ts.Fatalf("README.md has no such section")
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/greeting" || r.Header.Get("Garde-Subject") == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte("Hello from behind the Gate\n")) // the Gate tells if it is cut
	}))
	ts.Defer(api.Close)
	started := ts.MkAbs("my/pids")
	ts.Defer(func() { stopAll(started) })
	port, gate := ts.Getenv("PORT"), ts.Getenv("GATE_PORT")
	here := strings.NewReplacer(
		"make build && export PATH=$PWD/bin:$PATH", ":",
		"garde init my ", "garde init my --listen 127.0.0.1:"+port+" --issuer http://localhost:"+port+
			" && sed -i s,http://127.0.0.1:9000,"+api.URL+", my/recipe.yaml ",
		" & ", " >/dev/null & echo $! >>pids ",
		"localhost:8080", "localhost:"+port, "localhost:8081", "localhost:"+gate, "TRACE-ID", "$TRACE",
	)
	blocks := codeBlocks(section)
	if len(blocks) < 2 {
		ts.Fatalf("%d blocks of commands", len(blocks))
	}
	for i, block := range blocks[1:] {
		ts.Check(os.WriteFile(ts.MkAbs(strconv.Itoa(i+1)+".sh"), []byte("set -e\n"+here.Replace(block)), 0o600))
	}
}

// stopAll ends the processes that a file names, as far as they still run.
func stopAll(file string) {
	text, _ := os.ReadFile(file) // none: nothing was started
	for word := range strings.FieldsSeq(string(text)) {
		id, err := strconv.Atoi(word)
		if err != nil {
			continue
		}
		if process, err := os.FindProcess(id); err == nil {
			_ = process.Signal(os.Interrupt) // it may have ended by itself
		}
	}
}

// codeBlocks gives what is indented, block by block, but nothing between fences.
func codeBlocks(text string) (blocks []string) {
	var block strings.Builder
	fenced := false
	for line := range strings.Lines(text + "\n.\n") {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
		}
		if fenced {
			continue
		}
		if command, ok := strings.CutPrefix(line, "    "); ok {
			block.WriteString(command)
		} else if strings.TrimSpace(line) != "" && block.Len() > 0 {
			blocks = append(blocks, block.String())
			block.Reset()
		}
	}
	return blocks
}
