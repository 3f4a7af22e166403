package qmp_test

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/panalvm/panal/internal/qmp"
)

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

func TestSendFile(t *testing.T) {
	client, fake := start(t)
	r, w := pipe(t)
	wait := background(func() error { return client.SendFile(t.Context(), "state", w) })
	c, files := fake.receiveWithFile()
	if c.Execute != "getfd" || string(c.Arguments) != `{"fdname":"state"}` || len(files) != 1 {
		t.Fatalf("received %+v with %d files", c, len(files))
	}
	fake.reply(c, `"return": {}`)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	_, _ = io.WriteString(files[0], "the same pipe")
	_ = files[0].Close()
	if got, _ := io.ReadAll(r); string(got) != "the same pipe" {
		t.Errorf("read %q", got)
	}
}

// The second file must not be on the wire before the first command was
// answered, even though its caller no longer waits.
func TestFilesPassOneAtATime(t *testing.T) {
	client, fake := start(t)
	_, w := pipe(t)
	ctx, cancel := context.WithCancel(t.Context())
	first := background(func() error { return client.SendFile(ctx, "first", w) })
	firstCommand, _ := fake.receiveWithFile()
	cancel()
	if err := first(); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	second := background(func() error { return client.SendFile(t.Context(), "second", w) })
	between := execute(t.Context(), client, "query-status", nil)
	status, files := fake.receiveWithFile()
	if status.Execute != "query-status" || len(files) != 0 {
		t.Fatalf("received %s with %d files, want query-status", status.Execute, len(files))
	}
	fake.reply(status, `"return": {}`)
	fake.reply(firstCommand, `"return": {}`)
	secondCommand, files := fake.receiveWithFile()
	if !strings.Contains(string(secondCommand.Arguments), "second") || len(files) != 1 {
		t.Errorf("received %+v with %d files", secondCommand, len(files))
	}
	fake.reply(secondCommand, `"return": {}`)
	if err := errors.Join(between(), second()); err != nil {
		t.Error(err)
	}
}

func TestWaitToPassFileEndsWithConnection(t *testing.T) {
	client, fake := start(t)
	_, w := pipe(t)
	first := background(func() error { return client.SendFile(t.Context(), "first", w) })
	fake.receiveWithFile()
	second := background(func() error { return client.SendFile(t.Context(), "second", w) })
	_ = fake.conn.Close()
	for _, wait := range []func() error{first, second} {
		if err := wait(); !errors.Is(err, qmp.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
}

func TestSendClosedFile(t *testing.T) {
	client, fake := start(t)
	_, w := pipe(t)
	_ = w.Close()
	if err := client.SendFile(t.Context(), "a", w); err == nil || errors.Is(err, qmp.ErrClosed) {
		t.Errorf("got %v", err)
	}
	wait := execute(t.Context(), client, "query-status", nil)
	fake.reply(fake.receive(), `"return": {}`)
	if err := wait(); err != nil {
		t.Error(err)
	}
}

func TestAddFDArguments(t *testing.T) {
	client, fake := start(t)
	_, w := pipe(t)
	seven := 7
	for _, c := range []struct {
		set    *int
		opaque string
		want   string
	}{
		{nil, "", `{}`},
		{&seven, "disk", `{"fdset-id":7,"opaque":"disk"}`},
	} {
		var added qmp.FDSetEntry
		wait := background(func() (err error) {
			added, err = client.AddFD(t.Context(), c.set, w, c.opaque)
			return err
		})
		got, files := fake.receiveWithFile()
		if got.Execute != "add-fd" || string(got.Arguments) != c.want || len(files) != 1 {
			t.Errorf("received %+v with %d files", got, len(files))
		}
		fake.reply(got, `"return": {"fdset-id": 7, "fd": 12}`)
		if err := wait(); err != nil || added.Path() != "/dev/fdset/7" || added.FD != 12 {
			t.Errorf("added %+v, %v", added, err)
		}
	}
}

// A picture whose caller gave up may still come: the next is drawn elsewhere.
func TestScreendumpAbandoned(t *testing.T) {
	client, fake := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var picture []byte
	draw := func(ctx context.Context) func() error {
		return background(func() (err error) {
			picture, err = client.Screendump(ctx)
			return err
		})
	}
	first := draw(ctx)
	late := fake.takeCanvas(`"return": {"fdset-id": 1, "fd": 12}`)
	lateCommand, _ := fake.receiveWithFile()
	cancel()
	if err := first(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if c, _ := fake.receiveWithFile(); c.Execute != "remove-fd" {
		t.Errorf("received %s, want remove-fd", c.Execute)
	}
	var canvas *os.File
	for _, text := range []string{"second", "3rd"} {
		wait := draw(t.Context())
		if text == "second" {
			canvas = fake.takeCanvas(`"return": {"fdset-id": 2, "fd": 13}`)
		}
		c, _ := fake.receiveWithFile()
		_, _ = io.WriteString(late, "the first, late")
		fake.reply(lateCommand, `"return": {}`)
		_, _ = io.WriteString(canvas, text)
		fake.reply(c, `"return": {}`)
		if err := wait(); err != nil || string(picture) != text {
			t.Errorf("got picture %q, %v, want %q", picture, err, text)
		}
	}
}

// takeCanvas receives add-fd and returns its file.
func (f *fakeQEMU) takeCanvas(reply string) *os.File {
	c, files := f.receiveWithFile()
	if c.Execute != "add-fd" || len(files) != 1 {
		f.t.Fatalf("received %+v with %d files, want add-fd", c, len(files))
	}
	f.reply(c, reply)
	return files[0]
}
