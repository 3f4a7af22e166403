package qmp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/qmp"
)

func TestGreeting(t *testing.T) {
	client, _ := start(t)
	want := qmp.Version{Major: 7, Minor: 2, Micro: 22, Package: "Debian"}
	if got := client.Greeting(); got != want {
		t.Errorf("Greeting() = %+v, want %+v", got, want)
	}
	if client.Err() != nil {
		t.Errorf("Err() = %v while connected", client.Err())
	}
}

func TestVersionAtLeast(t *testing.T) {
	v := qmp.Version{Major: 7, Minor: 2}
	for _, c := range []struct {
		major, minor int
		want         bool
	}{{7, 2, true}, {7, 1, true}, {7, 3, false}, {6, 9, true}, {8, 0, false}} {
		if got := v.AtLeast(c.major, c.minor); got != c.want {
			t.Errorf("%v.AtLeast(%d, %d) = %v", v, c.major, c.minor, got)
		}
	}
}

func TestNewFails(t *testing.T) {
	for name, c := range map[string]struct {
		send string
		want error
	}{
		"not JSON":            {"SSH-2.0-OpenSSH_9.2\r\n", qmp.ErrProtocol},
		"event for greeting":  {`{"event": "STOP"}` + "\n", qmp.ErrProtocol},
		"ends at once":        {"", io.EOF},
		"ends in the middle":  {hello[:40], io.EOF},
		"ends after greeting": {hello, qmp.ErrClosed},
		"second greeting":     {hello + hello, qmp.ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := socketPair(t)
			_, _ = io.WriteString(theirs, c.send)
			_ = theirs.CloseWrite()
			if _, err := qmp.New(t.Context(), ours); !errors.Is(err, c.want) {
				t.Errorf("New: %v, want %v", err, c.want)
			}
			if _, err := ours.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("connection still open after New failed: %v", err)
			}
		})
	}
}

func TestNewGivesUpWithContext(t *testing.T) {
	for name, sent := range map[string]string{"no greeting": "", "no answer to capabilities": hello} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := socketPair(t)
			_, _ = io.WriteString(theirs, sent)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := qmp.New(ctx, ours); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("New: %v, want the context's error", err)
			}
		})
	}
}

func TestDialRefused(t *testing.T) {
	_, err := qmp.Dial(t.Context(), t.TempDir()+"/none")
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Dial: %v", err)
	}
}

func TestExecute(t *testing.T) {
	client, fake := start(t)
	var got struct{ Running bool }
	wait := execute(t.Context(), client, "query-status", &got)
	c := fake.receive()
	if c.Execute != "query-status" || c.Arguments != nil {
		t.Errorf("received %+v", c)
	}
	fake.reply(c, `"return": {"running": true}`)
	if err := wait(); err != nil || !got.Running {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestExecuteAll: all are sent before anything is answered, and what follows a refusal is carried out, too.
func TestExecuteAll(t *testing.T) {
	client, fake := start(t)
	var got struct{ Running bool }
	ended := make(chan error, 1)
	go func() {
		ended <- client.ExecuteAll(t.Context(), qmp.Command{Name: "stop"}, qmp.Command{Name: "nonsense"}, qmp.Command{Name: "query-status", Result: &got})
	}()
	first, second, third := fake.receive(), fake.receive(), fake.receive()
	if first.Execute != "stop" || second.Execute != "nonsense" || third.Execute != "query-status" {
		t.Errorf("received %+v, %+v, %+v", first, second, third)
	}
	fake.reply(first, `"return": {}`)
	fake.reply(second, `"error": {"class": "CommandNotFound", "desc": "The command nonsense has not been found"}`)
	fake.reply(third, `"return": {"running": true}`)
	if err := <-ended; !strings.Contains(fmt.Sprint(err), "nonsense") {
		t.Errorf("got %v, want the refusal", err)
	}
}

func TestRefusal(t *testing.T) {
	client, fake := start(t)
	wait := execute(t.Context(), client, "nonsense", nil)
	fake.reply(fake.receive(), `"error": {"class": "CommandNotFound", "desc": "The command nonsense has not been found"}`)
	var refused *qmp.Error
	if err := wait(); !errors.As(err, &refused) {
		t.Fatalf("got %v, want *qmp.Error", err)
	}
	want := qmp.Error{Class: qmp.ClassCommandNotFound, Desc: "The command nonsense has not been found", Command: "nonsense"}
	if *refused != want {
		t.Errorf("got %+v", *refused)
	}
}

func TestUnexpectedResultKeepsConnection(t *testing.T) {
	client, fake := start(t)
	var number int
	wait := execute(t.Context(), client, "a", &number)
	fake.reply(fake.receive(), `"return": "text"`)
	if err := wait(); err == nil || !strings.Contains(err.Error(), "qmp a") {
		t.Errorf("got %v", err)
	}
	wait = execute(t.Context(), client, "b", &number)
	fake.reply(fake.receive(), `"return": 3`)
	if err := wait(); err != nil || number != 3 {
		t.Errorf("got %d, %v", number, err)
	}
}

func TestArgumentsThatCannotBeEncoded(t *testing.T) {
	client, fake := start(t)
	if err := client.Execute(t.Context(), "a", make(chan int), nil); err == nil {
		t.Error("no error")
	}
	wait := execute(t.Context(), client, "b", nil)
	fake.reply(fake.receive(), `"return": {}`)
	if err := wait(); err != nil {
		t.Error(err)
	}
}

// Replies in any order, cut anywhere, with events between them, all reach
// those who wait for them.
func TestSplitAndInterleaved(t *testing.T) {
	client, fake := start(t)
	const n = 50
	waits := make([]func() error, n)
	results := make([]int, n)
	for i := range n {
		waits[i] = execute(t.Context(), client, fmt.Sprint("command-", i), &results[i])
	}
	stream := ""
	for range n {
		c := fake.receive()
		number := strings.TrimPrefix(c.Execute, "command-")
		stream = fmt.Sprintf("{\"return\": %s, \"id\": %s}\r\n", number, c.ID) + stream
		stream = `{"timestamp": {"seconds": 5, "microseconds": 7}, "event": "NUMBER", "data": ` + number + "}\n" + stream
	}
	for i := 0; i < len(stream); i += 7 {
		fake.send(stream[i:min(i+7, len(stream))])
	}
	for i, wait := range waits {
		if err := wait(); err != nil || results[i] != i {
			t.Errorf("command-%d: got %d, %v", i, results[i], err)
		}
	}
	for range n {
		e := <-client.Events()
		if e.Name != "NUMBER" || !e.Time.Equal(time.Unix(5, 7000)) {
			t.Fatalf("got %+v", e)
		}
	}
}

func TestContextAbandonsWait(t *testing.T) {
	client, fake := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait := execute(ctx, client, "slow", nil)
	slow := fake.receive()
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "slow") {
		t.Errorf("got %v", err)
	}
	fake.reply(slow, `"return": "late"`)
	var got string
	wait = execute(t.Context(), client, "next", &got)
	fake.reply(fake.receive(), `"return": "in time"`)
	if err := wait(); err != nil || got != "in time" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A QEMU that reads nothing does not hold a caller beyond its context.
func TestContextAbandonsWrite(t *testing.T) {
	client, fake := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	wait := background(func() error {
		return client.Execute(ctx, "large", map[string]string{"text": strings.Repeat("x", 8<<20)}, nil)
	})
	_, _ = fake.in.ReadByte()
	cancel()
	if err := wait(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// Half a command lies on the wire: nothing can follow it.
	wantEnd(t, client)
}

func TestEndMidReply(t *testing.T) {
	client, fake := start(t)
	wait := execute(t.Context(), client, "query-status", nil)
	fake.receive()
	fake.send(`{"return": {"runn`)
	_ = fake.conn.Close()
	if err := wait(); !errors.Is(err, qmp.ErrClosed) || !strings.Contains(err.Error(), "query-status") {
		t.Errorf("got %v", err)
	}
	wantEnd(t, client, io.EOF)
	if err := client.Execute(t.Context(), "stop", nil, nil); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestClose(t *testing.T) {
	client, fake := start(t)
	wait := execute(t.Context(), client, "query-status", nil)
	fake.receive()
	_ = client.Close()
	_ = client.Close()
	if err := wait(); !errors.Is(err, qmp.ErrClosed) {
		t.Errorf("got %v", err)
	}
	wantEnd(t, client, net.ErrClosed)
	if _, open := <-client.Events(); open {
		t.Error("Events still open after Close")
	}
}

func TestMisbehavingPeer(t *testing.T) {
	for name, line := range map[string]string{
		"garbage":               "]]]]\n",
		"binary":                "\x00\xff\xfe\n",
		"array":                 "[1, 2]\n",
		"nothing":               "{}\n",
		"blank line":            "\r\n",
		"two kinds":             `{"return": {}, "event": "STOP", "id": 2}` + "\n",
		"reply without id":      `{"error": {"class": "GenericError", "desc": "JSON parse error"}}` + "\n",
		"id of another type":    `{"return": {}, "id": "x"}` + "\n",
		"negative id":           `{"return": {}, "id": -1}` + "\n",
		"greeting again":        hello,
		"event of another type": `{"event": {}}` + "\n",
		"nested too deep":       `{"return": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `, "id": 2}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			client, fake := start(t)
			wait := execute(t.Context(), client, "query-status", nil)
			fake.receive()
			fake.send(line)
			if err := wait(); !errors.Is(err, qmp.ErrProtocol) || !errors.Is(err, qmp.ErrClosed) {
				t.Errorf("got %v", err)
			}
			wantEnd(t, client, qmp.ErrProtocol)
		})
	}
}

func TestUnknownIDIsDropped(t *testing.T) {
	client, fake := start(t)
	fake.send(`{"return": {}, "id": 99}` + "\n" + `{"event": "STOP"}` + "\n")
	if e := <-client.Events(); e.Name != qmp.EventStop {
		t.Errorf("got %+v", e)
	}
}

func TestEndlessLine(t *testing.T) {
	client, fake := start(t)
	sent := make(chan int)
	go func() {
		chunk := []byte(strings.Repeat("x", 1<<20))
		total := 0
		for {
			n, err := fake.conn.Write(chunk)
			total += n
			if err != nil {
				sent <- total
				return
			}
		}
	}()
	wantEnd(t, client, qmp.ErrProtocol)
	if total := <-sent; total < 64<<20 || total > 80<<20 {
		t.Errorf("connection ended after %d bytes of one line, want about 64 MiB", total)
	}
}

func TestLongReply(t *testing.T) {
	client, fake := start(t)
	text := strings.Repeat("x", 3<<20)
	var got string
	wait := execute(t.Context(), client, "long", &got)
	fake.reply(fake.receive(), `"return": "`+text+`"`)
	if err := wait(); err != nil || got != text {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestNetPipe(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		_, _ = io.WriteString(theirs, hello)
		_, _ = theirs.Read(make([]byte, 4096))
		_, _ = io.WriteString(theirs, `{"return": {}, "id": 1}`+"\n")
	}()
	client, err := qmp.New(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SendFile(t.Context(), "a", os.Stdin); !errors.Is(err, qmp.ErrNoFiles) {
		t.Errorf("SendFile over a pipe: %v", err)
	}
	_ = theirs.Close()
	wantEnd(t, client, io.EOF)
	_ = client.Close()
}
