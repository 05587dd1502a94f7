// Ferretdb is the MongoDB of the tests: FerretDB 1.24 on SQLite in a directory of its own, behind
// a proxy that lets one command through at a time. FerretDB reads, filters and
// writes in separate steps, so of several clients that race one compare-and-set
// more than one may win; one at a time they are as atomic as MongoDB's are.
//
// `ferretdb DIR ADDR` keeps its data in DIR, which outlives it, and listens on ADDR;
// without them in a directory of its own, on a free port of 127.0.0.1. It prints its
// URI and ends with its standard input. What it has answered is with the system and
// stays when it is killed; only a machine that fails would take it back
// (synchronous=off).
package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	dir, addr := "", "127.0.0.1:0"
	if len(os.Args) == 3 {
		dir, addr = os.Args[1], os.Args[2]
	}
	if err := run(context.Background(), dir, addr, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, addr string, until io.Reader, out io.Writer) error {
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "ferretdb"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	db, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: "file:" + dir + "/?_pragma=synchronous(off)&_pragma=journal_mode(wal)",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- db.Run(ctx) }()
	front, err := net.Listen("tcp", addr)
	if err != nil {
		stop()
		return err
	}
	behind := strings.TrimSuffix(strings.TrimPrefix(db.MongoDBURI(), "mongodb://"), "/")
	go serve(front, behind)
	fmt.Fprintf(out, "mongodb://%s\n", front.Addr())
	_, err = io.Copy(io.Discard, until)
	front.Close()
	stop()
	<-ended
	return err
}

// turn is held from a command to its answer.
var turn sync.Mutex

func serve(front net.Listener, behind string) {
	for {
		client, err := front.Accept()
		if err != nil {
			return
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", behind)
			if err != nil {
				return
			}
			defer server.Close()
			for pass(client, server) == nil {
			}
		}()
	}
}

// pass brings one command to the server and its answer back.
func pass(client, server net.Conn) error {
	command, err := message(client)
	if err != nil {
		return err
	}
	answer, err := ask(server, command)
	if err != nil {
		return err
	}
	_, err = client.Write(answer) // nobody waits for a client that does not read
	return err
}

func ask(server net.Conn, command []byte) (answer []byte, err error) {
	turn.Lock()
	defer turn.Unlock()
	if _, err := server.Write(command); err != nil {
		return nil, err
	}
	return message(server)
}

// maxMessage is the wire protocol's limit.
const maxMessage = 48_000_000

// message reads one message: its length comes first.
func message(from io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(from, length[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n < 16 || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	all := make([]byte, n)
	copy(all, length[:])
	_, err := io.ReadFull(from, all[4:])
	return all, err
}
