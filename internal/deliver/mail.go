package deliver

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/wneessen/go-mail"

	"github.com/gardeauth/garde/internal/seal"
)

// Mail is one message to one person, as text and as HTML.
type Mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html"`
}

// Sender sends a mail, or fails.
type Sender interface {
	Send(ctx context.Context, message Mail) error
}

// MailWork is the Work of mails, which are Mail as JSON.
func MailWork(sender Sender) Work {
	return func(ctx context.Context, body []byte) error {
		var message Mail
		if err := json.Unmarshal(body, &message); err != nil {
			return Never(err)
		}
		return sender.Send(ctx, message)
	}
}

// compose writes a message. Headers are encoded by the library; a line break in one is refused before it gets there.
func compose(from string, message Mail) (*mail.Msg, error) {
	for _, line := range []string{from, message.To, message.Subject} {
		if strings.ContainsAny(line, "\r\n\x00") {
			return nil, Never(errors.New("a line of the mail's header holds a line break"))
		}
	}
	letter := mail.NewMsg()
	if err := letter.From(from); err != nil {
		return nil, Never(fmt.Errorf("the sender is no address: %w", err))
	}
	if err := letter.To(message.To); err != nil {
		return nil, Never(fmt.Errorf("the recipient is no address: %w", err))
	}
	letter.Subject(message.Subject)
	letter.SetDate()
	letter.SetMessageID()
	// No robot answers a robot (RFC 3834 section 5).
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetBodyString(mail.TypeTextPlain, message.Text)
	letter.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	return letter, nil
}

// SMTP sends by a mail server. TLS is required: by STARTTLS, or from the first byte on port 465; plain text is for a
// server on loopback only.
type SMTP struct {
	Server   string // host:port
	From     string
	User     string // empty: no authentication
	Password func() (seal.Secret, error)
	TLS      *tls.Config // nil: the system's authorities
}

// Check tells what is wrong with the settings, without a connection.
func (s SMTP) Check() error {
	if _, _, err := s.address(); err != nil {
		return err
	}
	if s.User != "" && s.Password == nil {
		return errors.New("the mail server has a user and no password")
	}
	_, err := compose(s.From, Mail{To: "somebody@example.com"})
	return err
}

func (s SMTP) address() (string, int, error) {
	host, text, err := net.SplitHostPort(s.Server)
	if err != nil || host == "" {
		return "", 0, errors.New("the mail server must be host:port")
	}
	port, err := strconv.Atoi(text)
	if err != nil || port < 1 || port > 65535 {
		return "", 0, errors.New("the port of the mail server must be a number")
	}
	return host, port, nil
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// Send connects, sends and leaves. A refusal for good (5xx) is not tried again.
func (s SMTP) Send(ctx context.Context, message Mail) error {
	letter, err := compose(s.From, message)
	if err != nil {
		return err
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	err = client.DialAndSendWithContext(ctx, letter)
	var refused *mail.SendError
	if errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500 {
		return Never(err)
	}
	return err
}

func (s SMTP) client() (*mail.Client, error) {
	host, port, err := s.address()
	if err != nil {
		return nil, err
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(TryTime / 2), mail.WithTLSPolicy(mail.TLSMandatory)}
	if port == 465 {
		options = append(options, mail.WithSSL())
	} else if loopback(host) {
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	}
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		config = s.TLS.Clone()
	}
	options = append(options, mail.WithTLSConfig(config))
	if s.User != "" {
		secret, err := s.Password()
		if err != nil {
			return nil, fmt.Errorf("resolve the mail server's password: %w", err)
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(s.User), mail.WithPassword(secret.Reveal()))
	}
	return mail.NewClient(host, options...)
}

// Folder writes each mail as a file that only the owner may read, instead of sending it: for test set-ups and demos. The
// names sort by time.
type Folder struct {
	Path string
	From string
}

// Send writes the file whole or not at all.
func (f Folder) Send(_ context.Context, message Mail) error {
	letter, err := compose(f.From, message)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.Path, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(f.Path, ".mail-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = letter.WriteTo(file)
	err = errors.Join(err, file.Close())
	if err == nil {
		name := time.Now().UTC().Format("20060102T150405.000000000") + "-" + uuid.NewString()[:8] + ".eml"
		err = os.Rename(file.Name(), filepath.Join(f.Path, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
