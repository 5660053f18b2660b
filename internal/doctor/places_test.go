package doctor_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"

	"github.com/gardeauth/garde/internal/doctor"
)

func TestPlaces(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	file := filepath.Join(t.TempDir(), "city.mmdb")
	look := func(verdict doctor.Verdict, says string) {
		t.Helper()
		wants(t, doctor.Places("places", file, clock), verdict, says)
	}
	look(doctor.Bad, "no such file")
	if err := os.WriteFile(file, []byte("no database"), 0o600); err != nil {
		t.Fatal(err)
	}
	look(doctor.Bad, file)
	for age, verdict := range map[time.Duration]doctor.Verdict{time.Hour: doctor.Good, 61 * 24 * time.Hour: doctor.Look} {
		tree, err := mmdbwriter.New(mmdbwriter.Options{
			DatabaseType: "Test-City", Description: map[string]string{"en": "places"}, BuildEpoch: now.Add(-age).Unix(),
		})
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.WriteTo(out); err != nil {
			t.Fatal(err)
		}
		if err := out.Close(); err != nil {
			t.Fatal(err)
		}
		look(verdict, "Test-City")
	}
}
