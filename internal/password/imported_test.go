package password_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// imported gives hashes of "correct horse" in the spellings of other systems; the PBKDF2 sums were computed elsewhere.
func imported(t *testing.T) map[string]string {
	t.Helper()
	raw, err := bcrypt.GenerateFromPassword([]byte("correct horse"), 5)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"bcrypt 2a":       string(raw),
		"bcrypt 2b":       strings.Replace(string(raw), "$2a$", "$2b$", 1),
		"bcrypt 2y":       strings.Replace(string(raw), "$2a$", "$2y$", 1),
		"Django":          "pbkdf2_sha256$1000$seasalt$mQnueSakb748zqBAC1tmWVZsZbi2zPGZarEzTGdfmso=",
		"passlib SHA-1":   "$pbkdf2$1000$c2FsdHlzYWx0eXNhbHR5IQ$.Eb8M50H.fY9Y9GrM6qkO0AEjiE",
		"passlib SHA-512": "$pbkdf2-sha512$1000$c2FsdHlzYWx0eXNhbHR5IQ$PYBU2pwQcaYK3zxnFOkYwVEhDfZ200dqVj4dGU5tCDtr7FX6ybSnG6PoDAylXvUwp.CCH2tF1IfgDm5TXtJUNg",
		"PHC":             "$pbkdf2-sha256$i=1000,l=32$c2FsdHlzYWx0eXNhbHR5IQ$haU36wGPFiFzPqD6fVLrvc5cmEUJCKWYxoZdjLWCYtI",
	}
}

// weakArgon gives an argon2id hash that costs next to nothing.
func weakArgon(plain string) string {
	salt := []byte("saltsaltsaltsalt")
	sum := argon2.IDKey([]byte(plain), salt, 1, 64, 1, 32)
	return "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum)
}
