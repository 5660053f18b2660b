package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/gardeauth/garde/internal/manage"
	"github.com/gardeauth/garde/internal/notary"
)

// readLater proves an export of the journal and takes the events from it.
func readLater(name string) ([]manage.Later, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	report, err := notary.VerifyExport(file, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if !report.OK {
		return nil, fmt.Errorf("%s can't be trusted: %s", name, printable(report.Faults[0]))
	}
	if _, err := file.Seek(0, 0); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	var later []manage.Later
	for lines.Scan() {
		var row struct {
			Event map[string]string `json:"event"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, err
		}
		if row.Event == nil {
			continue // the head
		}
		micros, err := strconv.ParseInt(row.Event["at"], 10, 64)
		if err != nil {
			return nil, errors.New(name + ": an event has no time")
		}
		later = append(later, manage.Later{
			At: time.UnixMicro(micros).UTC(), Kind: row.Event["kind"], User: row.Event["user"], Client: row.Event["client"],
			Detail: row.Event["detail"],
		})
	}
	return later, lines.Err()
}
