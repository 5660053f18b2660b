package storetest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/journal"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/store"
	"github.com/gardeauth/garde/internal/store/sqlstore"
	"github.com/gardeauth/garde/internal/store/storetest/pgtest"
	"github.com/gardeauth/garde/recipe"
)

// A child is this test's own program, run again to be killed, traced or starved.
const (
	childRole    = "GARDE_STORETEST_ROLE"
	childAddress = "GARDE_STORETEST_ADDRESS"
)

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := beChild(role, os.Getenv(childAddress)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func beChild(role, address string) error {
	s, err := store.Open(context.Background(), address, store.Options{})
	if err != nil {
		return err
	}
	tenant := s.Tenant(iam.DefaultTenant)
	if err := furnish(tenant); err != nil {
		return err
	}
	switch role {
	case "load":
		load(tenant)
	case "slow":
		return slow(tenant)
	case "restore":
		return restoreHere(s)
	case "idle":
		return breakIdle(s)
	case "full":
		return fillDisk(s, tenant)
	}
	return nil
}

// furnish puts in the client and the person, if they are not there.
func furnish(tenant *sqlstore.Tenant) error {
	ctx := context.Background()
	if err := tenant.PutClient(ctx, iam.Client{ID: "c-app", Kind: recipe.Web, Auth: oauth.AuthBasic}); err != nil {
		return err
	}
	if err := tenant.AddUser(ctx, iam.User{ID: "u-ada", Username: "ada"}, iam.Password{}); err != nil && !errors.Is(err, iam.ErrExists) {
		return err
	}
	return nil
}

func child(role, address string, through ...string) *exec.Cmd {
	args := append(through, os.Args[0])
	cmd := exec.Command(args[0], args[1:]...) // this very program
	cmd.Env = append(os.Environ(), childRole+"="+role, childAddress+"="+address)
	cmd.Stderr = os.Stderr
	return cmd
}

func childCode(value string) iam.Code {
	now := time.Now()
	return iam.Code{Hash: iam.HashCode(value), Challenge: "c", Created: now, Expires: now.Add(time.Hour),
		Grant: iam.Grant{ID: uuid.NewString(), Client: "c-app", User: "u-ada", Created: now, Expires: now.Add(time.Hour)}}
}

func redeemChild(tenant *sqlstore.Tenant, value string) error {
	return tenant.Issue(context.Background(), iam.Issue{Now: time.Now(), Client: "c-app", User: "u-ada",
		Code: &iam.CodeProof{Hash: iam.HashCode(value), Client: "c-app", Challenge: "c"}})
}

// load works as hard as it can and says what was answered, and before it spends a code, that it will.
func load(tenant *sqlstore.Tenant) {
	var mu sync.Mutex
	say := func(what, value string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, value)
	}
	for range 16 {
		go func() {
			for {
				value := iam.NewSecret(iam.PrefixCode)
				if tenant.AddCode(context.Background(), childCode(value), iam.FlowHash{}, nil) != nil {
					continue
				}
				say("added", value)
				say("tried", value)
				if redeemChild(tenant, value) == nil {
					say("spent", value)
				}
				event := journal.New(time.Now(), journal.TokenIssued{GrantType: "client_credentials"})
				if tenant.Issue(context.Background(), iam.Issue{Now: time.Now(), Client: "c-app", Events: []journal.Event{event}}) == nil {
					say("event", event.ID)
				}
			}
		}()
	}
	select {}
}

// TestKilledUnderLoad kills a process under load, several times over: what was answered is there, nothing is spent twice.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"sqlite": "sqlite:" + t.TempDir() + "/garde.db", "postgres": pgtest.New(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killed(t, address)
		})
	}
}

// soaking is how many times something is tried: a soak (GARDE_SOAK) has time for more.
func soaking(usually, soak int) int {
	if os.Getenv("GARDE_SOAK") != "" {
		return soak
	}
	return usually
}

func killed(t *testing.T, address string) {
	for range soaking(3, 50) {
		said := killAfter(t, address, 150*time.Millisecond)
		s := openAt(t, address, nil)
		judge(t, s.Tenant(iam.DefaultTenant), said)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs a child under load, kills it, and gives what it said.
func killAfter(t *testing.T, address string, after time.Duration) map[string][]string {
	t.Helper()
	cmd := child("load", address)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := map[string][]string{}
	var once sync.Once
	for lines := bufio.NewScanner(out); lines.Scan(); {
		once.Do(func() { // it has begun
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() }) // it may have ended
		})
		if what, value, whole := strings.Cut(lines.Text(), " "); whole && len(value) >= 36 {
			said[what] = append(said[what], value)
		}
	}
	_ = cmd.Wait() // it was killed
	if len(said["spent"]) == 0 || len(said["event"]) == 0 {
		t.Fatalf("the child did nothing: %v", said)
	}
	return said
}

func judge(t *testing.T, tenant *sqlstore.Tenant, said map[string][]string) {
	t.Helper()
	set := func(what string) map[string]bool {
		values := map[string]bool{}
		for _, value := range said[what] {
			values[value] = true
		}
		return values
	}
	spent, tried := set("spent"), set("tried")
	for value := range set("added") {
		if len(value) != len(iam.PrefixCode)+iam.SecretLen {
			continue // the last line of a killed process may be torn
		}
		err := redeemChild(tenant, value)
		switch {
		case spent[value] && !errors.Is(err, iam.ErrSpent):
			t.Fatalf("a spent code answers %v", err)
		case !spent[value] && err != nil && !(tried[value] && errors.Is(err, iam.ErrSpent)):
			t.Fatalf("a code that was answered for answers %v", err)
		}
		if err := redeemChild(tenant, value); !errors.Is(err, iam.ErrSpent) {
			t.Fatalf("a code was spent twice: %v", err)
		}
	}
	kept := map[string]bool{}
	for query := (iam.JournalQuery{Oldest: true, Kind: "token.issued", Limit: 10000}); ; {
		events, err := tenant.Events(context.Background(), query)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			break
		}
		for _, event := range events {
			kept[event.ID] = true
		}
		query.AfterID = events[len(events)-1].ID
	}
	for _, id := range said["event"] {
		if len(id) == 36 && !kept[id] {
			t.Fatalf("the event %s was answered for and is gone", id)
		}
	}
}

// slow does twenty deeds, one after the other, and says so after each.
func slow(tenant *sqlstore.Tenant) error {
	for i := range 20 {
		event := journal.New(time.Now(), journal.TokenIssued{})
		if err := tenant.Issue(context.Background(), iam.Issue{Now: time.Now(), Client: "c-app", Events: []journal.Event{event}}); err != nil {
			return err
		}
		if _, err := os.Stdout.WriteString(fmt.Sprintf("answered %d\n", i)); err != nil {
			return err
		}
	}
	return nil
}

// TestSyncPrecedesAnswer reads the system calls: between two answers the log was brought to disk.
func TestSyncPrecedesAnswer(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		if os.Getenv("CI") == "true" || os.Getenv("GARDE_TEST_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	folder := t.TempDir()
	trace := folder + "/trace"
	cmd := child("slow", "sqlite:"+folder+"/garde.db", "strace", "-f", "-y", "-e", "trace=fsync,fdatasync,write", "-o", trace)
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	answers, synced := 0, false
	for line := range strings.SplitSeq(string(text), "\n") {
		switch {
		case strings.Contains(line, "sync(") && strings.Contains(line, "-wal>"):
			synced = true
		case strings.Contains(line, `"answered `):
			if !synced {
				t.Fatalf("answered before it was on disk: %s", line)
			}
			answers, synced = answers+1, false
		}
	}
	if answers != 20 {
		t.Fatalf("saw %d answers:\n%s", answers, text)
	}
}

// breakIdle lets no file grow while nothing is asked of the store.
func breakIdle(s *store.Store) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	limit := syscall.Rlimit{Cur: 1, Max: ^uint64(0)}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	time.Sleep(2100 * time.Millisecond) // a storage counts as sound for two seconds
	if err := s.Ready(ctx); !errors.Is(err, iam.ErrUnavailable) {
		return fmt.Errorf("a broken storage is ready: %w", err)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	return s.Ready(ctx)
}

// fillDisk lets no file grow beyond a little more than it has, and sees what happens.
func fillDisk(s *store.Store, tenant *sqlstore.Tenant) error {
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	if err := s.Ready(ctx); err != nil {
		return err
	}
	limit := syscall.Rlimit{Cur: 1 << 20, Max: ^uint64(0)}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	var ids []string
	for {
		event := journal.New(time.Now(), journal.TokenIssued{Scope: strings.Repeat("x", 4000)})
		err := tenant.Record(ctx, event)
		if err == nil {
			ids = append(ids, event.ID)
			if len(ids) > 5000 {
				return errors.New("the limit does not hold")
			}
			continue
		}
		if !errors.Is(err, iam.ErrUnavailable) || !strings.Contains(err.Error(), "disk") {
			return fmt.Errorf("a full disk is told as %w", err)
		}
		// Giving up the log may have made a little room: then it is ready, rightly, and goes on until there is none.
		if err := s.Ready(ctx); err != nil {
			break
		}
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	if err := s.Ready(ctx); err != nil {
		return fmt.Errorf("not ready again: %w", err)
	}
	events, err := tenant.Events(ctx, iam.JournalQuery{Oldest: true, Limit: 10000})
	if err != nil {
		return err
	}
	for i, id := range ids {
		if i >= len(events) || events[i].ID != id {
			return fmt.Errorf("event %d was answered for and is gone", i)
		}
	}
	return nil
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	if out, err := child("full", "sqlite:"+t.TempDir()+"/garde.db").Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
