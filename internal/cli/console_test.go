package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/internal/testenv"
)

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// terminal is a pseudoterminal with a program on it. What the program writes is
// kept.
type terminal struct {
	t        *testing.T
	keyboard *os.File // the terminal's side that a person has
	line     *os.File // the program's
	mu       sync.Mutex
	changed  *sync.Cond
	screen   bytes.Buffer
}

// newTerminal opens a pseudoterminal of 24 rows and 80 columns.
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		testenv.Missing(t, "no pseudoterminals: "+err.Error())
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	term := &terminal{t: t, keyboard: keyboard, line: line}
	term.changed = sync.NewCond(&term.mu)
	t.Cleanup(func() { line.Close(); keyboard.Close() })
	term.resize(24, 80)
	go term.watch()
	return term
}

// watch keeps what is written.
func (m *terminal) watch() {
	buffer := make([]byte, 4096)
	for {
		n, err := m.keyboard.Read(buffer)
		m.mu.Lock()
		m.screen.Write(buffer[:n])
		m.changed.Broadcast()
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// expect returns when the pattern has been written.
func (m *terminal) expect(pattern string) {
	m.t.Helper()
	wanted, late := regexp.MustCompile(pattern), false
	alarm := time.AfterFunc(patience, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		late = true
		m.changed.Broadcast()
	})
	defer alarm.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !wanted.Match(m.screen.Bytes()) {
		if late {
			m.t.Fatalf("nothing like %q on the screen:\n%s", pattern, m.screen.String())
		}
		m.changed.Wait()
	}
}

// resize changes the window's size.
func (m *terminal) resize(rows, columns uint16) {
	m.t.Helper()
	if err := unix.IoctlSetWinsize(int(m.keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		m.t.Fatal(err)
	}
}

// raw reports whether the terminal is raw.
func (m *terminal) raw() bool {
	m.t.Helper()
	modes, err := unix.IoctlGetTermios(int(m.line.Fd()), unix.TCGETS)
	if err != nil {
		m.t.Fatal(err)
	}
	return modes.Lflag&unix.ICANON == 0
}

// daemon starts a fake daemon for a test that is no script.
func daemon(t *testing.T, script string, files map[string]string) *fake {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := newFake(dir, filepath.Join(testenv.SocketDir(t), "s"), script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	return f
}

// command is the program, with a fake daemon.
func command(t *testing.T, f *fake, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, "panal", args...)
	c.Env = append(os.Environ(), "PANAL_SOCKET="+f.socket, "PANAL_RUNTIME="+filepath.Dir(f.socket), "TERM=xterm", "DISPLAY=", "WAYLAND_DISPLAY=")
	return c
}

// onTerminal starts a command on a terminal.
func onTerminal(t *testing.T, term *terminal, c *exec.Cmd) {
	t.Helper()
	c.Stdin, c.Stdout, c.Stderr = term.line, term.line, term.line
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
}

const consoleScript = "GET /v1/machines/web/console console banner.txt\n"

func TestConsoleOnATerminal(t *testing.T) {
	f := daemon(t, consoleScript, map[string]string{"banner.txt": "before\r\n"})
	term := newTerminal(t)
	c := command(t, f, "console", "web")
	onTerminal(t, term, c)
	term.expect(`Connected to web. Ctrl-\] leaves`)
	term.expect(`before`)
	term.expect(`size \{"rows":24,"columns":80\}`)
	if !term.raw() {
		t.Error("the terminal is not raw")
	}
	fmt.Fprint(term.keyboard, "\x03")
	term.expect(`\[\x03\]`) // ^C is the guest's
	term.resize(30, 100)
	term.expect(`size \{"rows":30,"columns":100\}`)
	fmt.Fprint(term.keyboard, "last\x1dnot sent")
	term.expect(`\[last\]|Left web`)
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	term.expect(`Left web\.`)
	if term.raw() {
		t.Error("the terminal is still raw")
	}
}

func TestConsoleEndsWithItsMachine(t *testing.T) {
	f := daemon(t, consoleScript, map[string]string{"banner.txt": "x"})
	term := newTerminal(t)
	c := command(t, f, "console", "web")
	onTerminal(t, term, c)
	term.expect(`size`)
	fmt.Fprint(term.keyboard, "bye")
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
	term.expect(`web has ended\.`)
	if term.raw() {
		t.Error("the terminal is still raw")
	}
}

func TestConsoleGivesTheTerminalBackAtASignal(t *testing.T) {
	f := daemon(t, consoleScript, map[string]string{"banner.txt": "x"})
	term := newTerminal(t)
	c := command(t, f, "console", "web")
	onTerminal(t, term, c)
	term.expect(`size`)
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if term.raw() {
		t.Error("the terminal is still raw")
	}
}

func TestConsoleThatIsCutOff(t *testing.T) {
	f := daemon(t, consoleScript, map[string]string{"banner.txt": "x"})
	term := newTerminal(t)
	c := command(t, f, "console", "web")
	onTerminal(t, term, c)
	term.expect(`size`)
	f.hangUp()
	if err := c.Wait(); err == nil {
		t.Error("exit code 0, want a failure")
	}
	term.expect(`panal: console web: the console was cut off`)
	if term.raw() {
		t.Error("the terminal is still raw")
	}
}

// TestColoursAndProgress sees what only a terminal gets.
func TestColoursAndProgress(t *testing.T) {
	f := daemon(t, `
GET /v1/machines 200 list.json
POST /v1/machines/web/start 202 task.json
GET /v1/events?since=5&task=t 200 working.sse until GET /v1/host ended.sse
GET /v1/host 200 host.json
`, map[string]string{
		"list.json": `{"machines":[{"name":"web","state":"running"}]}`,
		"host.json": `{}`,
		"task.json": `{"id":"t","revision":5,"kind":"machine.start","name":"web","state":"running","created":"2020-01-01T00:00:00Z"}`,
		"working.sse": "id: 6\n" + `data: {"revision":6,"type":"task.progress","task":{"id":"t","kind":"machine.start","name":"web","state":"running","created":"2020-01-01T00:00:00Z",` +
			`"progress":{"step":"reading memory","done":536870912,"total":2147483648,"unit":"bytes","rate":268435456}}}` + "\n\n",
		"ended.sse": "id: 7\n" + `data: {"revision":7,"type":"task.ended","task":{"id":"t","kind":"machine.start","name":"web","state":"done"}}` + "\n\n",
	})
	term := newTerminal(t)
	list := command(t, f, "list")
	onTerminal(t, term, list)
	term.expect(`\x1b\[32mrunning`)
	if err := list.Wait(); err != nil {
		t.Error(err)
	}
	start := command(t, f, "start", "web")
	onTerminal(t, term, start)
	term.expect(`start web: reading memory .*512M of 2G, 256M/s, 6s left`)
	if err := command(t, f, "host", "show").Run(); err != nil {
		t.Error(err)
	}
	term.expect(`web: running`)
	if err := start.Wait(); err != nil {
		t.Error(err)
	}
	plain := newTerminal(t)
	list = command(t, f, "list")
	list.Env = append(list.Env, "NO_COLOR=1")
	onTerminal(t, plain, list)
	plain.expect(`web +running`)
	if err := list.Wait(); err != nil {
		t.Error(err)
	}
}

func TestDisplayOnAPort(t *testing.T) {
	f := daemon(t, "GET /v1/machines/web 200 web.json\nGET /v1/machines/u1/display console rfb.txt\n", map[string]string{
		"web.json": `{"spec":{"name":"web","uuid":"u1","display":{"type":"vnc"}},"status":{"state":"running","vnc":"/run/vnc"}}`,
		"rfb.txt":  "RFB 003.008\n",
	})
	c := command(t, f, "console", "web", "--vnc", "--listen", "127.0.0.1:0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var address string
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one viewer after the other
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "bye")
		got, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(got), "RFB 003.008\n") || !strings.HasSuffix(string(got), "goodbye\n") {
			t.Errorf("the display says %q (%v)", got, err)
		}
		conn.Close()
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("at ^C: %v", err)
	}
}
