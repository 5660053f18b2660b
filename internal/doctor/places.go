package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/gardeauth/garde/internal/facts"
)

// placesOld is how old a database of places is when it deserves a look: providers publish twice a week.
const placesOld = 60 * 24 * time.Hour

// Places reads a database of places through, as the risk of a moment uses it.
func Places(name, file string, now func() time.Time) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		database, err := facts.Examine(file)
		switch age := now().Sub(database.Built); {
		case err != nil:
			found.Bad(fmt.Sprintf("%s: %v", file, err), "places are unknown, which raises the risk of every moment and lets no sign of a new country speak",
				"put a database in the MaxMind DB form there, by renaming it into its place, or take the key out of geoip")
		case database.Odd != nil:
			found.Look(fmt.Sprintf("%s: %v", file, database.Odd), "it opens, but some addresses may be answered wrongly or not at all",
				"fetch it again from its provider")
		case age > placesOld:
			found.Look(fmt.Sprintf("%s (%s) was built on %s", file, database.Kind, database.Built.UTC().Format(time.DateOnly)),
				"addresses move: people will seem to be where they are not", "fetch a newer one from its provider; it is read without a restart")
		default:
			found.Good("%s (%s) was built on %s", file, database.Kind, database.Built.UTC().Format(time.DateOnly))
		}
	}}
}
