package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Private looks whether a file or folder is readable by its owner alone. One that is not there is skipped.
func Private(name, path, why string) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found.Skip("%s is not there", path)
		case err != nil:
			found.Bad(err.Error(), why, "run the doctor as the user who runs the node")
		case info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&0o077 != 0:
			found.Bad(fmt.Sprintf("%s may be used by others (mode %04o)", path, info.Mode().Perm()), why, "chmod go-rwx "+path)
		default:
			found.Good("%s is this user's alone", path)
		}
	}}
}

// Writable looks whether files can be made in a folder.
func Writable(name, dir string) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		probe, err := os.CreateTemp(dir, ".garde-doctor-")
		if err != nil {
			found.Bad(fmt.Sprintf("no file can be made in %s: %v", dir, err), "the storage could keep nothing", "give the folder to the user who runs the node, or free space")
			return
		}
		_ = probe.Close()           // nothing was written
		_ = os.Remove(probe.Name()) // it is empty
		found.Good("files can be made in %s", filepath.Clean(dir))
	}}
}

// The times before the end of a certificate at which it deserves a look.
const expiresSoon = 14 * 24 * time.Hour

// Certificate looks at a certificate and its key.
func Certificate(name, certFile, keyFile, host string, now func() time.Time) Check {
	return Check{name, func(_ context.Context, found *Findings) {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			found.Bad(err.Error(), "the listener can't start", "name a PEM certificate and its key under tls")
			return
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			found.Bad(err.Error(), "no client could read it", "ask for a new certificate")
			return
		}
		left := leaf.NotAfter.Sub(now())
		switch {
		case left <= 0:
			found.Bad("the certificate ended on "+leaf.NotAfter.Format(time.DateOnly), "every client refuses it", "put a new one in its place: it is read without a restart")
		case now().Before(leaf.NotBefore):
			found.Bad("the certificate begins on "+leaf.NotBefore.Format(time.DateOnly), "every client refuses it", "look at this machine's clock")
		case left < expiresSoon:
			found.Look("the certificate ends on "+leaf.NotAfter.Format(time.DateOnly), "every client will refuse it then", "put a new one in its place: it is read without a restart")
		default:
			found.Good("the certificate lasts until %s", leaf.NotAfter.Format(time.DateOnly))
		}
		if host != "" {
			if err := leaf.VerifyHostname(host); err != nil {
				found.Bad(err.Error(), "clients compare it with the host of the issuer", "ask for a certificate of "+host)
			}
		}
	}}
}
