package admin

import (
	"errors"
	"net"
	"os"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

// uid asks the kernel who holds the other end.
func uid(conn net.Conn) (uint32, error) {
	socket, ok := conn.(*net.UnixConn)
	if !ok {
		return 0, errors.New("not a unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) {
		credentials, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if asked != nil {
		return 0, asked
	}
	return credentials.Uid, nil
}

func mayConnect(conn net.Conn) bool {
	id, err := uid(conn)
	return err == nil && (id == 0 || int(id) == os.Geteuid())
}

// peer names the user at the other end.
func peer(conn net.Conn) (string, error) {
	id, err := uid(conn)
	if err != nil {
		return "", err
	}
	text := strconv.FormatUint(uint64(id), 10)
	if known, err := user.LookupId(text); err == nil {
		return known.Username, nil
	}
	return "uid-" + text, nil
}
