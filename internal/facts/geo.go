package facts

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/gardeauth/garde/internal/assurance/signal"
)

// Places knows where addresses are, from databases of the operator's choice in the MaxMind DB form. They are opened when
// they are first asked, and again when the files change. One that is missing or broken is said once, and its answers are
// unknown; while one that was good is replaced by a bad one, the good one goes on.
type Places struct {
	City string           // file of a City or Country database; empty: none
	AS   string           // file of an ASN database; empty: none
	Log  *slog.Logger     // nil: slog.Default
	Now  func() time.Time // nil: time.Now

	city, as database
}

// lookAgain is how often a file is asked whether it has changed.
const lookAgain = time.Minute

type cityRecord struct {
	Country struct {
		Code string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Location struct {
		Lat *float64 `maxminddb:"latitude"`
		Lon *float64 `maxminddb:"longitude"`
	} `maxminddb:"location"`
}

type asRecord struct {
	Number uint32 `maxminddb:"autonomous_system_number"`
}

// Find says where an address is, as far as the databases know. known is false when one that should answer can't; a private
// address, or one that no database lists, is nowhere and known.
func (p *Places) Find(address netip.Addr) (place signal.Place, known bool) {
	address = address.Unmap().WithZone("")
	known = true
	if p.City != "" {
		var record cityRecord
		known = p.ask(&p.city, p.City, address, &record)
		if known {
			place.Country = country(record.Country.Code)
			if lat, lon := record.Location.Lat, record.Location.Lon; lat != nil && lon != nil && within(*lat, 90) && within(*lon, 180) {
				place.Lat, place.Lon, place.Located = *lat, *lon, true
			}
		}
	}
	if p.AS != "" {
		var record asRecord
		told := p.ask(&p.as, p.AS, address, &record)
		if known = known && told; told && record.Number > 0 {
			place.AS = fmt.Sprintf("AS%d", record.Number)
		}
	}
	return place, known
}

// country admits the two letters of ISO 3166-1 and nothing else: what a database says ends up in rules.
func country(code string) string {
	if len(code) != 2 || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
		return ""
	}
	return code
}

func within(degrees, most float64) bool { return degrees >= -most && degrees <= most }

func (p *Places) ask(from *database, file string, address netip.Addr, record any) bool {
	now := time.Now
	if p.Now != nil {
		now = p.Now
	}
	reader, err := from.reader(file, now())
	if err == nil {
		if err = look(reader, address, record); err == nil {
			from.well()
			return true
		}
	}
	if from.fault(err) {
		log := p.Log
		if log == nil {
			log = slog.Default()
		}
		log.Error("the database of places can't answer: places are unknown until it does", "file", file, "error", err)
	}
	return false
}

var errTorn = errors.New("the file was cut or overwritten while it was in use; put a new one in its place by renaming it")

// look asks a database. It is mapped into memory: where the file was cut in place, touching it is a fault of memory, which
// must not end the node.
func look(reader *maxminddb.Reader, address netip.Addr, record any) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errTorn
		}
	}()
	if address.Is6() && reader.Metadata.IPVersion == 4 {
		return nil // it knows no such addresses
	}
	return reader.Lookup(address).Decode(record)
}

// database is one file. Its zero value is not opened yet.
type database struct {
	open   atomic.Pointer[opened]
	looked atomic.Int64 // Unix nanoseconds
	mu     sync.Mutex   // one opening at a time
	said   atomic.Pointer[string]
}

type opened struct {
	reader *maxminddb.Reader // nil: it could not be opened
	err    error
	mark   fs.FileInfo // nil: there was no file
}

// reader gives the database. Once a minute, one caller looks whether the file has changed; the others go on with what there is.
func (d *database) reader(file string, now time.Time) (*maxminddb.Reader, error) {
	looked := d.looked.Load()
	since := now.Sub(time.Unix(0, looked))
	current := d.open.Load()
	if current == nil || since >= lookAgain || since < 0 {
		if current == nil {
			d.mu.Lock()
			current = d.renew(file, now)
			d.mu.Unlock()
		} else if d.mu.TryLock() {
			current = d.renew(file, now)
			d.mu.Unlock()
		}
	}
	return current.reader, current.err
}

// renew opens the file if it is not the one that is open. The old one is let go of by the collector, since others may be
// reading it.
func (d *database) renew(file string, now time.Time) *opened {
	current := d.open.Load()
	if current != nil && d.looked.Load() == now.UnixNano() {
		return current
	}
	d.looked.Store(now.UnixNano())
	mark, err := os.Stat(file)
	if current != nil && err == nil && current.mark != nil && os.SameFile(mark, current.mark) &&
		mark.ModTime().Equal(current.mark.ModTime()) && mark.Size() == current.mark.Size() {
		return current
	}
	next := &opened{err: err, mark: mark}
	if err == nil {
		next.reader, next.err = openDatabase(file)
	}
	if next.err != nil && current != nil && current.reader != nil {
		// The good one goes on, and the file is looked at again in a minute.
		next.reader, next.err = current.reader, nil
	}
	d.open.Store(next)
	return next
}

func openDatabase(file string) (reader *maxminddb.Reader, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			reader, err = nil, errTorn
		}
	}()
	return maxminddb.Open(file)
}

// fault tells whether this fault was not said yet.
func (d *database) fault(err error) bool {
	text := err.Error()
	before := d.said.Swap(&text)
	return before == nil || *before != text
}

// well notes that it answers again, so that the next fault is said.
func (d *database) well() {
	if d.said.Load() != nil {
		d.said.Store(nil)
	}
}

// Examined is what there is to say of a database.
type Examined struct {
	Kind  string
	Built time.Time
	Odd   error // it can be read, but is not in all as the form says; nil: it is
}

// Examine opens a database as Places would, and reads it through.
func Examine(file string) (Examined, error) {
	reader, err := openDatabase(file)
	if err != nil {
		return Examined{}, err
	}
	found := Examined{Kind: reader.Metadata.DatabaseType, Built: reader.Metadata.BuildTime(), Odd: verify(reader)}
	return found, reader.Close()
}

func verify(reader *maxminddb.Reader) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = errTorn
		}
	}()
	return reader.Verify()
}
