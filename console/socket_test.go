package console

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestTheSocketIsForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode %v, %v; want a socket of 0600", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory holds %v, %v; want the socket alone", entries, err)
	}
}

func TestAServedSocketIsLeftAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(path); !errors.Is(err, ErrServed) {
		t.Errorf("second Listen: %v, want ErrServed", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatalf("the first socket no longer answers: %v", err)
	}
	_ = conn.Close()
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as kill -9 leaves it
	_ = dead.Close()
	if _, err := api.Dial(t.Context(), path); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("Dial of a stale socket: %v, want ErrNoDaemon", err)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := api.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	_ = l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, err := api.Dial(t.Context(), path); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("Dial without a socket: %v, want ErrNoDaemon", err)
	}
}

func TestCloseLeavesASuccessorsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(path)
	second, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	_ = first.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket is gone: %v", err)
	}
}

func TestAFileInTheWayIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("Listen: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "precious" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}

func TestAPathTooLongForASocketIsExplained(t *testing.T) {
	path := "/" + strings.Repeat("a", api.MaxSocketPath)
	_, err := Listen(path)
	if err == nil || !strings.Contains(err.Error(), "shorter state directory") {
		t.Errorf("Listen: %v", err)
	}
	_, err = api.Dial(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "shorter state directory") {
		t.Errorf("Dial: %v", err)
	}
}

func TestAnEndlessHeaderIsCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), api.SocketName)
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s := newServer(t, &fake{})
	go func() { done <- s.Serve(ctx, l) }()
	defer func() { cancel(); <-done }()
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	go func() { // ends when the server closes the connection
		line := []byte("X-A: " + strings.Repeat("a", 1000) + "\r\n")
		_, err := conn.Write([]byte("GET /api/v1/status HTTP/1.1\r\nHost: a\r\n"))
		for err == nil {
			_, err = conn.Write(line)
		}
	}()
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 431 ") {
		t.Errorf("answered %q, %v; want 431", answer, err)
	}
}
