package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/gardeauth/garde/internal/fetch"
)

const turningName = "turning.example."

// nameServer is where the names of the whole test are asked for, when it is set: the resolver is one of the whole process, and
// what another test left behind may still be looking something up.
var nameServer atomic.Pointer[string]

func resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if at := nameServer.Load(); at != nil {
			network, address = "udp", *at
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

// turning is a name server whose one name has a public address when it is first asked for, and loopback from then on.
func turning(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	var asked atomic.Int32
	go func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}
			var message dnsmessage.Message
			if message.Unpack(buffer[:n]) != nil || len(message.Questions) != 1 {
				continue
			}
			question := message.Questions[0]
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: message.ID, Response: true, Authoritative: true}, Questions: message.Questions}
			if question.Type == dnsmessage.TypeA && question.Name.String() == turningName {
				address := [4]byte{127, 0, 0, 1}
				if asked.Add(1) == 1 {
					address = [4]byte{8, 8, 8, 8}
				}
				answer.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class}, // TTL 0
					Body:   &dnsmessage.AResource{A: address},
				}}
			}
			if packed, err := answer.Pack(); err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()
	at := server.LocalAddr().String()
	nameServer.Store(&at)
	t.Cleanup(func() { nameServer.Store(nil) })
}

// TestG05ANameThatTurnsInward: what a name meant when it was looked at says nothing of where the connection goes.
func TestG05ANameThatTurnsInward(t *testing.T) {
	canary := open(t, nil)
	turning(t)
	_, port, _ := net.SplitHostPort(canary.host())
	if found, err := net.DefaultResolver.LookupHost(t.Context(), turningName); err != nil || !slices.Equal(found, []string{"8.8.8.8"}) {
		t.Fatalf("the check: %v, %v", found, err)
	}
	fetcher, err := fetch.New(fetch.Settings{Authorities: canary.authority()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = fetcher.Fetch(t.Context(), "https://"+turningName+":"+port+"/")
	if cause := fmt.Sprint(errors.Unwrap(err)); !strings.Contains(cause, "the address 127.0.0.1:"+port+" is not a public one") {
		t.Errorf("G05 %s", cause)
	}
	if canary.hits.Load() != 0 {
		t.Error("G05 the inside was reached")
	}
}
