package sqlite

import (
	"errors"
	"fmt"
	"os"
)

// place is the file and its log as this process knows them. Who removes, replaces or cuts them takes all that is committed
// later along, and SQLite, which has the pages in memory, would not see it. Only the writer asks.
type place struct {
	path      string
	file, log os.FileInfo // nil: not seen yet
}

// holds is nil while what was committed can be found again by the name of the file. A file that was moved away and is back
// holds again.
func (p *place) holds() error {
	file, err := os.Stat(p.path)
	switch {
	case err != nil:
		return fmt.Errorf("the file was taken away: put it back, or stop garde and restore a backup: %w", err)
	case p.file != nil && !os.SameFile(p.file, file):
		return errors.New("the file was replaced while garde runs: put it back, or stop garde first")
	case p.file != nil && file.Size() < p.file.Size(): // nothing vacuums: it only grows
		return errors.New("the file was cut while garde runs: stop garde and restore a backup")
	}
	p.file = file
	return nil
}

// stands is nil if what was committed stands where the next open looks for it. It costs two look-ups of a name a commit.
func (e *Engine) stands() error {
	if err := e.place.holds(); err != nil {
		return err
	}
	if err := e.place.logHolds(); err != nil {
		// Readers still have the old log: a new one beside it would damage the file.
		damage := unavailable(err)
		e.damage.CompareAndSwap(nil, &damage)
		return err
	}
	return nil
}

// noticed remembers that the file is damaged, if that is what err says.
func (e *Engine) noticed(err error) {
	switch code(err) & 0xff {
	case codeCorrupt, codeNotADB:
		damage := unavailable(explain(err))
		e.damage.CompareAndSwap(nil, &damage)
	}
}

// logHolds is the same for the log, which has just been written. A new writer may have made a new one.
func (p *place) logHolds() error {
	log, err := os.Stat(p.path + "-wal")
	switch {
	case err != nil:
		return fmt.Errorf("the log beside the file was taken away: stop garde, and restore a backup if entries are missing: %w", err)
	case p.log != nil && !os.SameFile(p.log, log):
		return errors.New("the log beside the file was replaced while garde runs: stop garde, and restore a backup if entries are missing")
	}
	p.log = log
	return nil
}
