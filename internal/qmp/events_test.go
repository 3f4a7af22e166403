package qmp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/internal/qmp"
)

// Nobody reads events: replies still come, and no event is lost, not even
// those before the connection's end.
func TestSlowEventReader(t *testing.T) {
	client, fake := start(t)
	const n = 10000
	wait := execute(t.Context(), client, "query-status", nil)
	c := fake.receive()
	for i := range n {
		fake.send(fmt.Sprintf("{\"event\": \"NUMBER\", \"data\": %d}\n", i))
	}
	fake.reply(c, `"return": {}`)
	if err := wait(); err != nil {
		t.Fatal(err)
	}
	fake.send(`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}}` + "\n")
	_ = fake.conn.Close()
	wantEnd(t, client)
	for i := range n {
		var got int
		e := <-client.Events()
		if err := e.Decode(&got); err != nil || got != i {
			t.Fatalf("event %d: %d, %v", i, got, err)
		}
	}
	if e := <-client.Events(); e.Name != qmp.EventShutdown {
		t.Errorf("last event %+v", e)
	}
	if e, open := <-client.Events(); open {
		t.Errorf("Events still open: %+v", e)
	}
}

func TestEventFlood(t *testing.T) {
	for name, event := range map[string]string{
		"many":  `{"event": "X"}` + "\n",
		"large": `{"event": "X", "data": "` + strings.Repeat("x", 1<<20) + `"}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			client, fake := start(t)
			block := strings.Repeat(event, 1+1<<20/len(event))
			for {
				if _, err := fake.conn.Write([]byte(block)); err != nil {
					break
				}
			}
			wantEnd(t, client, qmp.ErrProtocol)
		})
	}
}

func TestEventPayloads(t *testing.T) {
	for _, c := range []struct {
		event     string
		got, want any
	}{
		{
			`"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-panic"}`,
			&qmp.Shutdown{},
			&qmp.Shutdown{Guest: true, Reason: qmp.CauseGuestPanic},
		},
		{
			`"event": "VSERPORT_CHANGE", "data": {"open": true, "id": "agent"}`,
			&qmp.VSerialPortChange{},
			&qmp.VSerialPortChange{ID: "agent", Open: true},
		},
		{
			`"event": "GUEST_PANICKED", "data": {"action": "pause"}`,
			&qmp.GuestPanicked{},
			&qmp.GuestPanicked{Action: "pause"},
		},
		{
			`"event": "BLOCK_IO_ERROR", "data": {"device": "", "node-name": "disk0", "operation": "write", "action": "stop", "nospace": true, "reason": "No space left on device"}`,
			&qmp.BlockIOError{},
			&qmp.BlockIOError{Node: "disk0", Operation: "write", Action: "stop", NoSpace: true, Reason: "No space left on device"},
		},
		{`"event": "RTC_CHANGE", "data": {"offset": -78, "qom-path": "/machine/rtc"}`, &qmp.RTCChange{}, &qmp.RTCChange{Offset: -78, Path: "/machine/rtc"}},
		{`"event": "DEVICE_DELETED", "data": {"path": "/machine/peripheral/a"}`, &qmp.DeviceDeleted{}, &qmp.DeviceDeleted{Path: "/machine/peripheral/a"}},
		{`"event": "STOP"`, &struct{}{}, &struct{}{}},
	} {
		client, fake := start(t)
		fake.send("{" + c.event + "}\n")
		e := <-client.Events()
		if err := e.Decode(c.got); err != nil {
			t.Errorf("%s: %v", c.event, err)
		}
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", c.event, diff)
		}
		_ = client.Close()
	}
	bad := qmp.Event{Name: "SHUTDOWN", Data: []byte(`"x"`)}
	if err := bad.Decode(&qmp.Shutdown{}); err == nil {
		t.Error("payload of another type: no error")
	}
}
