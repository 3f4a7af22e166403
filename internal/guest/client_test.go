package guest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/panalvm/panal/internal/guest"
)

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestPing(t *testing.T) {
	client, agent := start(t)
	received := agent.serve("{\"return\": {}}\n")
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := <-received; c.Execute != "guest-ping" {
		t.Errorf("received %+v", c)
	}
}

func TestNobodyThere(t *testing.T) {
	client, _ := start(t)
	if err := client.Ping(soon(t)); !errors.Is(err, guest.ErrUnresponsive) {
		t.Errorf("nobody answers: %v", err)
	}
	// net.Pipe has no buffer: nothing can even be written.
	ours, theirs := net.Pipe()
	client = guest.New(ours)
	defer func() { _, _ = client.Close(), theirs.Close() }()
	if err := client.Ping(soon(t)); !errors.Is(err, guest.ErrUnresponsive) {
		t.Errorf("nobody reads: %v", err)
	}
}

func TestCanceled(t *testing.T) {
	client, _ := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := client.Ping(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, guest.ErrUnresponsive) {
		t.Errorf("got %v", err)
	}
}

// An answer that comes after its call gave up is not taken for the next one's.
func TestLateAnswer(t *testing.T) {
	client, agent := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c, _ := agent.receive()
		agent.sync(c)
		_, _ = agent.receive()
		cancel()
	}()
	if _, err := client.HostName(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	<-gone
	go func() {
		c, _ := agent.receive()
		agent.send("me\": \"late\"}}\n{\"return\": {\"host-name\": \"later\"}}\n\xff{\"return\": 1}\n\xffjunk\n")
		agent.sync(c)
		_, _ = agent.receive()
		agent.send("{\"return\": {\"host-name\": \"mine\"}}\n")
	}()
	if name, err := client.HostName(t.Context()); err != nil || name != "mine" {
		t.Errorf("got %q, %v", name, err)
	}
}

func TestRefusal(t *testing.T) {
	client, agent := start(t)
	agent.serve(`{"error": {"class": "CommandNotFound", "desc": "The command guest-fsfreeze-freeze has been disabled"}}` + "\n")
	_, err := client.FSFreeze(t.Context())
	var refused *guest.Error
	if !errors.As(err, &refused) || refused.Class != "CommandNotFound" || refused.Command != "guest-fsfreeze-freeze" {
		t.Errorf("got %v", err)
	}
}

func TestHostileAnswers(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":         "hello\n",
		"neither":          "{}\n",
		"both":             `{"return": {}, "error": {"class": "x", "desc": "y"}}` + "\n",
		"another type":     `{"return": [1]}` + "\n",
		"too long":         strings.Repeat("x", 5<<20) + "\n",
		"nested too deep":  `{"return": ` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}\n",
		"number too large": `{"return": {"host-name": 1e999}}` + "\n",
	} {
		t.Run(name, func(t *testing.T) {
			client, agent := start(t)
			agent.serve(text, "{\"return\": {\"host-name\": \"again\"}}\n")
			if _, err := client.HostName(t.Context()); !errors.Is(err, guest.ErrProtocol) {
				t.Fatalf("got %v", err)
			}
			if host, err := client.HostName(t.Context()); err != nil || host != "again" {
				t.Errorf("next call: %q, %v", host, err)
			}
		})
	}
}

// A guest that never stops sending holds a call no longer than its deadline.
func TestEndlessOutput(t *testing.T) {
	for name, text := range map[string]string{"no delimiter": "xxxxxxxx\n", "delimiters": "\xff", "false answers": "\xff{\"return\": 5}\n"} {
		t.Run(name, func(t *testing.T) {
			client, agent := start(t)
			go func() {
				_, _ = agent.receive()
				block := []byte(strings.Repeat(text, 1000))
				for {
					if _, err := agent.conn.Write(block); err != nil {
						return
					}
				}
			}()
			err := client.Ping(soon(t))
			if !errors.Is(err, guest.ErrUnresponsive) && !errors.Is(err, guest.ErrProtocol) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	client, agent := start(t)
	_ = agent.conn.Close()
	if err := client.Ping(t.Context()); !errors.Is(err, guest.ErrClosed) {
		t.Errorf("closed by the guest: %v", err)
	}
	client, _ = start(t)
	_ = client.Close()
	if err := client.Ping(t.Context()); !errors.Is(err, guest.ErrClosed) {
		t.Errorf("closed by us: %v", err)
	}
}

func TestExec(t *testing.T) {
	client, agent := start(t)
	output := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("out", 3<<20)))
	received := agent.serve(
		"{\"return\": {\"pid\": 7}}\n",
		"{\"return\": {\"exited\": false}}\n",
		"{\"return\": {\"exited\": true, \"exitcode\": 3, \"out-data\": \""+output+"\", \"err-data\": \"ZXJy\", \"out-truncated\": true}}\n",
	)
	result, err := client.Exec(t.Context(), guest.Command{Path: "cat", Args: []string{"-n"}, Env: []string{"A=1"}, Input: []byte("hi")})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Stdout) != 9<<20 {
		t.Errorf("%d bytes of output", len(result.Stdout))
	}
	result.Stdout = nil
	if diff := cmp.Diff(&guest.Result{ExitCode: 3, Stderr: []byte("err"), Truncated: true}, result); diff != "" {
		t.Error(diff)
	}
	want := `{"path":"cat","arg":["-n"],"env":["A=1"],"input-data":"aGk=","capture-output":true}`
	if c := <-received; c.Execute != "guest-exec" || string(c.Arguments) != want {
		t.Errorf("received %s %s", c.Execute, c.Arguments)
	}
	if c := <-received; string(c.Arguments) != `{"pid":7}` {
		t.Errorf("received %s %s", c.Execute, c.Arguments)
	}
}

func TestExecKilledBySignal(t *testing.T) {
	client, agent := start(t)
	agent.serve("{\"return\": {\"pid\": 7}}\n", "{\"return\": {\"exited\": true, \"signal\": 9}}\n")
	result, err := client.Exec(t.Context(), guest.Command{Path: "sleep"})
	if err != nil || result.ExitCode != -1 || result.Signal != 9 {
		t.Errorf("got %+v, %v", result, err)
	}
}

func TestShutdown(t *testing.T) {
	t.Run("accepted", func(t *testing.T) {
		client, agent := start(t)
		received := agent.serve("", "{\"return\": {}}\n")
		if err := client.Shutdown(t.Context(), guest.PowerDown); err != nil {
			t.Fatal(err)
		}
		if c := <-received; c.Execute != "guest-shutdown" || string(c.Arguments) != `{"mode":"powerdown"}` {
			t.Errorf("received %s %s", c.Execute, c.Arguments)
		}
	})
	t.Run("refused", func(t *testing.T) {
		client, agent := start(t)
		agent.serve("", "{\"error\": {\"class\": \"GenericError\", \"desc\": \"invalid\"}}\n")
		var refused *guest.Error
		if err := client.Shutdown(t.Context(), "nap"); !errors.As(err, &refused) || refused.Command != "guest-shutdown" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("silence", func(t *testing.T) {
		client, agent := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		received := agent.serve("", "")
		go func() {
			_, _ = <-received, <-received
			cancel()
		}()
		if err := client.Shutdown(ctx, guest.Reboot); err != nil {
			t.Error(err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		client, _ := start(t)
		if err := client.Shutdown(soon(t), guest.Halt); !errors.Is(err, guest.ErrUnresponsive) {
			t.Errorf("got %v", err)
		}
	})
}

func TestQueries(t *testing.T) {
	client, agent := start(t)
	agent.serve(
		`{"return": {"version": "7.2.22", "supported_commands": [{"name": "guest-exec", "enabled": false}, {"name": "guest-ping", "enabled": true}]}}`+"\n",
		`{"return": {"id": "debian", "pretty-name": "Debian GNU/Linux 12", "kernel-release": "6.1.0"}}`+"\n",
		`{"return": [{"name": "eth0", "hardware-address": "52:54:00:00:00:01", "ip-addresses": [{"ip-address-type": "ipv4", "ip-address": "10.0.2.15", "prefix": 24}]}, {"name": "lo"}]}`+"\n",
		`{"return": [{"online": true, "can-offline": false, "logical-id": 0}]}`+"\n",
		`{"return": "frozen"}`+"\n", `{"return": "molten"}`+"\n", `{"return": 2}`+"\n",
	)
	ctx := t.Context()
	if info, err := client.Info(ctx); err != nil || info.Supports("guest-exec") || !info.Supports("guest-ping") || info.Supports("other") {
		t.Errorf("Info: %+v, %v", info, err)
	}
	if os, err := client.OSInfo(ctx); err != nil || os != (guest.OSInfo{ID: "debian", PrettyName: "Debian GNU/Linux 12", KernelRelease: "6.1.0"}) {
		t.Errorf("OSInfo: %+v, %v", os, err)
	}
	interfaces, err := client.NetworkInterfaces(ctx)
	want := []guest.NetworkInterface{
		{Name: "eth0", HardwareAddress: "52:54:00:00:00:01", Addresses: []guest.Address{{Family: "ipv4", Address: "10.0.2.15", PrefixLength: 24}}},
		{Name: "lo"},
	}
	if diff := cmp.Diff(want, interfaces); diff != "" || err != nil {
		t.Errorf("NetworkInterfaces: %s, %v", diff, err)
	}
	if cpus, err := client.VCPUs(ctx); err != nil || len(cpus) != 1 || !cpus[0].Online {
		t.Errorf("VCPUs: %+v, %v", cpus, err)
	}
	if frozen, err := client.FSFrozen(ctx); err != nil || !frozen {
		t.Errorf("FSFrozen: %v, %v", frozen, err)
	}
	if _, err := client.FSFrozen(ctx); !errors.Is(err, guest.ErrProtocol) {
		t.Errorf("FSFrozen of an unknown word: %v", err)
	}
	if n, err := client.FSThaw(ctx); err != nil || n != 2 {
		t.Errorf("FSThaw: %d, %v", n, err)
	}
}

func TestSetTime(t *testing.T) {
	client, agent := start(t)
	received := agent.serve("{\"return\": {}}\n", "{\"return\": {}}\n")
	for _, c := range []struct {
		at   time.Time
		want string
	}{{time.Unix(5, 7), `{"time":5000000007}`}, {time.Time{}, ""}} {
		if err := client.SetTime(t.Context(), c.at); err != nil {
			t.Error(err)
		}
		if got := <-received; string(got.Arguments) != c.want {
			t.Errorf("received %s", got.Arguments)
		}
	}
}

func TestFSTrim(t *testing.T) {
	client, agent := start(t)
	agent.serve(`{"return": {"paths": [{"path": "/", "minimum": 0, "trimmed": 4096}, {"path": "/boot", "error": "the discard operation is not supported"}]}}`+"\n",
		`{"return": {"paths": []}}`+"\n", `{"error": {"class": "CommandNotFound", "desc": "disabled"}}`+"\n")
	done, err := client.FSTrim(t.Context())
	want := []guest.Trimmed{{Path: "/", Bytes: 4096}, {Path: "/boot", Error: "the discard operation is not supported"}}
	if err != nil || !slices.Equal(done, want) {
		t.Errorf("FSTrim: %+v, %v", done, err)
	}
	if done, err := client.FSTrim(t.Context()); err != nil || len(done) != 0 {
		t.Errorf("FSTrim where nothing is mounted: %+v, %v", done, err)
	}
	if _, err := client.FSTrim(t.Context()); !errors.As(err, new(*guest.Error)) {
		t.Errorf("FSTrim of an agent that is not to: %v", err)
	}
}
