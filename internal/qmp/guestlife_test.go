package qmp_test

import (
	"bytes"
	"errors"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/panalvm/panal/internal/qmp"
)

// keepAlive lets QEMU stay, stopped, when its guest has ended.
var keepAlive = []string{"-machine", "q35", "-action", "shutdown=pause,panic=pause"}

func disk(path string) []string {
	return []string{
		"-blockdev", "driver=file,node-name=file,filename=" + path,
		"-blockdev", "driver=raw,node-name=disk,file=file", "-device", "ide-hd,drive=disk",
	}
}

func guest(t *testing.T, code []byte, more ...string) *qemu {
	t.Helper()
	args := append(append([]string{}, keepAlive...), disk(bootSector(t, code))...)
	return startQEMU(t, append(args, append(more, "-S")...)...)
}

func TestGuestPowersOff(t *testing.T) {
	q := guest(t, codePowerOff)
	client, ctx := q.dial(t), limit(t)
	if s, err := client.Status(ctx); err != nil || s != (qmp.Status{State: qmp.StatePrelaunch}) {
		t.Errorf("before cont: %+v, %v", s, err)
	}
	if err := client.Cont(ctx); err != nil {
		t.Fatal(err)
	}
	var off qmp.Shutdown
	e := awaitEvent(t, client, qmp.EventShutdown)
	if err := e.Decode(&off); err != nil || off != (qmp.Shutdown{Guest: true, Reason: qmp.CauseGuestShutdown}) {
		t.Errorf("got %+v, %v", off, err)
	}
	awaitEvent(t, client, qmp.EventStop)
	if s, err := client.Status(ctx); err != nil || s != (qmp.Status{State: qmp.StateShutdown}) {
		t.Errorf("after power off: %+v, %v", s, err)
	}
	wantQuit(t, q, client)
}

func TestGuestPanics(t *testing.T) {
	q := guest(t, codePanic, "-device", "pvpanic")
	client, ctx := q.dial(t), limit(t)
	if err := client.Cont(ctx); err != nil {
		t.Fatal(err)
	}
	var panicked qmp.GuestPanicked
	e := awaitEvent(t, client, qmp.EventGuestPanicked)
	if err := e.Decode(&panicked); err != nil || panicked.Action != "pause" {
		t.Errorf("got %+v, %v", panicked, err)
	}
	awaitEvent(t, client, qmp.EventStop)
	if s, err := client.Status(ctx); err != nil || s.State != qmp.StateGuestPanicked {
		t.Errorf("after the panic: %+v, %v", s, err)
	}
	wantQuit(t, q, client)
}

// wantQuit checks that quit ends QEMU with status 0.
func wantQuit(t *testing.T, q *qemu, client *qmp.Client) {
	t.Helper()
	if err := client.Quit(limit(t)); err != nil {
		t.Error(err)
	}
	wantEnd(t, client, io.EOF)
	<-q.exited
	if code := q.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("qemu ended with status %d: %s", code, q.stderr.String())
	}
}

func TestButtons(t *testing.T) {
	q := guest(t, codeBusy)
	client, ctx := q.dial(t), limit(t)
	steps := []struct {
		press func() error
		event string
	}{
		{func() error { return client.Cont(ctx) }, qmp.EventResume},
		{func() error { return client.SystemPowerdown(ctx) }, qmp.EventPowerdown},
		{func() error { return client.SystemReset(ctx) }, qmp.EventReset},
		{func() error { return client.Stop(ctx) }, qmp.EventStop},
	}
	for _, step := range steps {
		if err := step.press(); err != nil {
			t.Fatalf("%s: %v", step.event, err)
		}
		awaitEvent(t, client, step.event)
	}
	_ = q.cmd.Process.Signal(syscall.SIGTERM)
	var off qmp.Shutdown
	e := awaitEvent(t, client, qmp.EventShutdown)
	if err := e.Decode(&off); err != nil || off.Guest || off.Reason != qmp.CauseHostSignal {
		t.Errorf("SIGTERM: %+v, %v", off, err)
	}
}

func TestScreendump(t *testing.T) {
	client, ctx := startQEMU(t, "-machine", "q35", "-device", "VGA").dial(t), limit(t)
	for range 2 {
		picture, err := client.Screendump(ctx)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := png.Decode(bytes.NewReader(picture))
		if err != nil {
			t.Fatal(err)
		}
		if size := decoded.Bounds().Size(); size.X < 640 || size.Y < 400 {
			t.Errorf("a picture of %v", size)
		}
	}
	if err := client.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Screendump(ctx); err != nil {
		t.Errorf("of a paused guest: %v", err)
	}
	var sets []any
	if err := client.Execute(ctx, "query-fdsets", nil, &sets); err != nil || len(sets) != 1 {
		t.Errorf("fd sets after several pictures: %v, %v, want the one", sets, err)
	}
}

func TestScreendumpWithoutDisplay(t *testing.T) {
	client := startQEMU(t, "-machine", "q35").dial(t)
	var refused *qmp.Error
	if _, err := client.Screendump(limit(t)); !errors.As(err, &refused) {
		t.Errorf("got %v, want QEMU's refusal", err)
	}
}

// A guest's state goes through a file descriptor into a file, under the
// sandbox, and another QEMU goes on from it.
func TestMigrateThroughFile(t *testing.T) {
	ctx := limit(t)
	state, err := os.Create(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = state.Close() }()
	from := guest(t, codeBusy)
	client := from.dial(t)
	migrateTo(t, client, state)
	info, err := client.QueryMigrate(ctx)
	if err != nil || !info.Finished() || info.RAM.Total < 64<<20 || info.RAM.Remaining != 0 || info.RAM.Transferred == 0 {
		t.Errorf("QueryMigrate: %+v, %v", info, err)
	}
	if err := client.AwaitFinalized(ctx); err != nil {
		t.Error(err)
	}
	if s, err := client.Status(ctx); err != nil || s.State != qmp.StatePostMigrate {
		t.Errorf("after saving: %+v, %v", s, err)
	}
	wantQuit(t, from, client)
	restoreFrom(t, state)
}

func migrateTo(t *testing.T, client *qmp.Client, state *os.File) {
	t.Helper()
	ctx := limit(t)
	if err := errors.Join(
		client.SetMigrateCapabilities(ctx, map[string]bool{"events": true}),
		client.SetMigrateParameters(ctx, map[string]any{"max-bandwidth": 0}),
		client.Cont(ctx),
		client.Stop(ctx),
		client.SendFile(ctx, "state", state),
		client.Migrate(ctx, "fd:state"),
	); err != nil {
		t.Fatal(err)
	}
	awaitMigration(t, client)
}

// awaitMigration waits for the event of a migration's good end.
func awaitMigration(t *testing.T, client *qmp.Client) {
	t.Helper()
	for {
		var m qmp.Migration
		e := awaitEvent(t, client, qmp.EventMigration)
		if err := e.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.Status == qmp.MigrationCompleted {
			return
		}
		if qmp.MigrationFinished(m.Status) {
			info, err := client.QueryMigrate(limit(t))
			t.Fatalf("migration %s: %+v, %v", m.Status, info, err)
		}
	}
}

func restoreFrom(t *testing.T, state *os.File) {
	t.Helper()
	ctx := limit(t)
	if _, err := state.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	to := guest(t, codeBusy, "-incoming", "defer")
	client := to.dial(t)
	if err := errors.Join(
		client.SetMigrateCapabilities(ctx, map[string]bool{"events": true}),
		client.SendFile(ctx, "state", state),
		client.MigrateIncoming(ctx, "fd:state"),
	); err != nil {
		t.Fatal(err)
	}
	awaitMigration(t, client)
	if err := client.Cont(ctx); err != nil {
		t.Fatal(err)
	}
	awaitEvent(t, client, qmp.EventResume)
	if s, err := client.Status(ctx); err != nil || !s.Running {
		t.Errorf("after restoring: %+v, %v", s, err)
	}
	wantQuit(t, to, client)
}
