package nbd_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/testenv"
)

// run runs a real client and returns what it printed.
func run(t testing.TB, program string, args ...string) string {
	t.Helper()
	out, err := try(t, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, program), args...)
	var out, failed bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &failed
	err := cmd.Run()
	return out.String() + failed.String(), err
}

func uri(socket, name string) string { return "nbd+unix:///" + name + "?socket=" + socket }

// mixed is an image with data, zeros and what nobody wrote, over a parent.
func mixed(size int) *memory {
	random := rand.New(rand.NewPCG(1, 2))
	m := newMemory(size)
	m.parent = patterned(size / 2)
	for off := 0; off < size; {
		n := min((random.IntN(64)+1)*granule, size-off)
		if state := disk.State(random.IntN(3)); state != disk.Unallocated {
			fill(m, off, n/granule*granule, state)
		}
		off += n
	}
	return m
}

func TestNbdinfo(t *testing.T) {
	testenv.Need(t, "nbdinfo")
	_, socket := serve(t, nbd.Options{}, nbd.Export{Name: "x", Description: "about x", Image: patterned(1 << 20)}, nbd.Export{Image: chain()})
	var info struct {
		Exports []map[string]any `json:"exports"`
	}
	if err := json.Unmarshal([]byte(run(t, "nbdinfo", "--list", "--json", uri(socket, ""))), &info); err != nil {
		t.Fatal(err)
	}
	if len(info.Exports) != 2 {
		t.Fatalf("%v", info)
	}
	for key, want := range map[string]any{
		"export-name": "x", "description": "about x", "export-size": 1048576.0, "can_multi_conn": true, "can_fast_zero": true,
		"can_trim": true, "can_df": true, "block_size_minimum": 1.0, "block_size_preferred": 4096.0, "block_size_maximum": 33554432.0,
		"contexts": []any{"base:allocation", "qemu:allocation-depth"},
	} {
		if got := info.Exports[0][key]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, not %v", key, got, want)
		}
	}
	want := "0 65536 0\n65536 65536 3\n131072 73728 0\n204800 57344 3"
	if got := columns(run(t, "nbdinfo", "--map", uri(socket, ""))); got != want {
		t.Errorf("map:\n%s\nnot\n%s", got, want)
	}
	want = "0 131072 1\n131072 65536 2\n196608 8192 3\n204800 40960 0\n245760 16384 2"
	if got := columns(run(t, "nbdinfo", "--map=qemu:allocation-depth", uri(socket, ""))); got != want {
		t.Errorf("depths:\n%s\nnot\n%s", got, want)
	}
}

// columns keeps offset, length and state; what libnbd calls a state has changed
// with its versions.
func columns(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		lines = append(lines, strings.Join(fields[:min(len(fields), 3)], " "))
	}
	return strings.Join(lines, "\n")
}

func TestNbdcopy(t *testing.T) {
	testenv.Need(t, "nbdcopy")
	const size = 20<<20 + 512
	m := mixed(size)
	empty := newMemory(size)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m}, nbd.Export{Name: "empty", Image: empty}, nbd.Export{Name: "plain", Image: plain{m}})
	for _, name := range []string{"", "plain"} {
		file := filepath.Join(t.TempDir(), "copy")
		run(t, "nbdcopy", uri(socket, name), file)
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, m.content()) {
			t.Errorf("from %q: other content, %v", name, err)
		}
	}
	run(t, "nbdcopy", "--flush", uri(socket, ""), uri(socket, "empty"))
	if !bytes.Equal(empty.content(), m.content()) {
		t.Error("from one export to another: other content")
	}
	if empty.synced == 0 {
		t.Error("--flush flushed nothing")
	}
	data := 0
	for _, s := range empty.states {
		if s == disk.Data {
			data++
		}
	}
	if data == len(empty.states) {
		t.Error("no hole was copied as one")
	}
}

func TestQemuIO(t *testing.T) {
	testenv.Need(t, "qemu-io")
	m := newMemory(8 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	var args []string
	for _, command := range []string{
		"write -P 0x11 0 1M", "write -f -P 0x22 64k 4k", "write -z 128k 64k", "write -z -u 256k 1k", "write -P 0x33 1000k 3M",
		"discard 2M 1M", "aio_write -P 0x44 5M 1M", "aio_write -P 0x55 6M 512", "aio_flush", "flush",
		"read -P 0x11 0 64k", "read -P 0x22 64k 4k", "read -P 0 128k 64k", "read -P 0 256k 1k", "read -P 0x33 1000k 1M",
		"read -P 0 2M 1M", "read -P 0x33 3M 512", "read -P 0x44 5M 1M", "read -P 0x55 6M 512", "read -P 0 7M 1M",
	} {
		args = append(args, "-c", command)
	}
	if out := run(t, "qemu-io", append(args, "-f", "raw", uri(socket, ""))...); strings.Contains(out, "failed") {
		t.Error(out)
	}
	if m.synced == 0 {
		t.Error("nothing was synced")
	}
	want := make([]byte, 8<<20)
	for _, w := range []struct {
		b      byte
		off, n int
	}{{0x11, 0, 1 << 20}, {0x22, 64 << 10, 4 << 10}, {0, 128 << 10, 64 << 10}, {0, 256 << 10, 1 << 10}, {0x33, 1000 << 10, 3 << 20}, {0, 2 << 20, 1 << 20}, {0x44, 5 << 20, 1 << 20}, {0x55, 6 << 20, 512}} {
		copy(want[w.off:], bytes.Repeat([]byte{w.b}, w.n))
	}
	if !bytes.Equal(m.content(), want) {
		t.Error("other content")
	}
}

func TestQemuIOOnReadOnlyExport(t *testing.T) {
	testenv.Need(t, "qemu-io")
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: patterned(1 << 20), ReadOnly: true})
	if out, err := try(t, "qemu-io", "-f", "raw", "-c", "write 0 512", uri(socket, "")); err == nil {
		t.Errorf("written: %s", out)
	}
	run(t, "qemu-io", "-r", "-f", "raw", "-c", "read 0 1M", uri(socket, ""))
}

func TestQemuImg(t *testing.T) {
	testenv.Need(t, "qemu-img")
	const size = 16 << 20
	m, empty := mixed(size), newMemory(size)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m}, nbd.Export{Name: "empty", Image: empty})
	from, to := uri(socket, ""), uri(socket, "empty")
	if out := run(t, "qemu-img", "info", "--output=json", from); !strings.Contains(out, fmt.Sprintf(`"virtual-size": %d`, size)) {
		t.Error(out)
	}
	file := filepath.Join(t.TempDir(), "x.qcow2")
	run(t, "qemu-img", "convert", "-W", "-f", "raw", "-O", "qcow2", from, file)
	run(t, "qemu-img", "compare", "-f", "raw", "-F", "qcow2", from, file)
	run(t, "qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", file, to)
	if !bytes.Equal(empty.content(), m.content()) {
		t.Error("converted to the export: other content")
	}
	run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", from, to)
	run(t, "qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "64", "-s", "4096", "-S", "69632", from)
	run(t, "qemu-img", "bench", "-w", "--flush-interval=100", "-f", "raw", "-c", "1000", "-d", "16", "-s", "64k", to)
	checkMap(t, from, m)
}

// checkMap compares what qemu-img finds with what the layers of the image say.
func checkMap(t *testing.T, from string, img disk.Image) {
	t.Helper()
	var got []struct {
		Start, Length int64
		Zero, Data    bool
	}
	if err := json.Unmarshal([]byte(run(t, "qemu-img", "map", "--output=json", "-f", "raw", from)), &got); err != nil {
		t.Fatal(err)
	}
	var ours, theirs []string
	add := func(list *[]string, off, n int64, data bool) {
		for i := off / granule; i < (off+n)/granule; i++ {
			*list = append(*list, fmt.Sprint(i, data))
		}
	}
	for _, e := range got {
		add(&theirs, e.Start, e.Length, e.Data && !e.Zero)
	}
	for l, err := range disk.Layers(t.Context(), img) {
		if err != nil {
			t.Fatal(err)
		}
		add(&ours, l.Off, l.Len, l.State == disk.Data)
	}
	if !slices.Equal(ours, theirs) {
		t.Errorf("map:\n%v\nnot\n%v", theirs, ours)
	}
}

// Many programs write at once, each to its part, over several connections each.
func TestManyClientsAtOnce(t *testing.T) {
	testenv.Need(t, "qemu-io")
	m := newMemory(16 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	ended := make(chan error, 16)
	for i := range 16 {
		go func() {
			out, err := try(t, "qemu-io", "-f", "raw", "-c", fmt.Sprintf("write -P %d %dM 1M", i+1, i), "-c", "flush", "-c", fmt.Sprintf("read -P %d %dM 1M", i+1, i), uri(socket, ""))
			if err != nil || strings.Contains(out, "failed") {
				err = fmt.Errorf("%w: %s", err, out)
			}
			ended <- err
		}()
	}
	for range 16 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	for i := range 16 {
		if want := bytes.Repeat([]byte{byte(i + 1)}, 1<<20); !bytes.Equal(m.content()[i<<20:(i+1)<<20], want) {
			t.Errorf("part %d has other content", i)
		}
	}
}

// A client that is killed leaves a server that serves.
func TestKilledClient(t *testing.T) {
	program := testenv.Need(t, "qemu-img")
	m := newMemory(64 << 20)
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	for range 5 {
		written := make(chan struct{}, 1000)
		w := &announcing{memory: m, written: written}
		_, own := serve(t, nbd.Options{}, nbd.Export{Image: w})
		cmd := exec.CommandContext(t.Context(), program, "bench", "-w", "-f", "raw", "-c", "1000000", "-d", "64", "-s", "1M", uri(own, ""))
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			<-written
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() //nolint:errcheck // it was killed
		if _, _, e := connect(t, own).read(0, 0, 4096); e != 0 {
			t.Errorf("errno %d", e)
		}
	}
	if _, _, e := connect(t, socket).read(0, 0, 4096); e != 0 {
		t.Errorf("errno %d", e)
	}
}

// announcing tells of writes, as long as somebody listens.
type announcing struct {
	*memory
	written chan struct{}
}

func (a *announcing) WriteAt(p []byte, off int64) (int, error) {
	select {
	case a.written <- struct{}{}:
	default:
	}
	return a.memory.WriteAt(p, off)
}

// serveTCP serves on the loopback interface, where names in certificates count.
func serveTCP(t *testing.T, o nbd.Options, exports ...nbd.Export) (port string) {
	t.Helper()
	server, err := nbd.New(exports, o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(context.Background(), l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestRealClientsWithTLS(t *testing.T) {
	testenv.Need(t, "nbdinfo")
	testenv.Need(t, "nbdcopy")
	testenv.Need(t, "qemu-img")
	a := newAuthority(t)
	m := mixed(8 << 20)
	port := serveTCP(t, nbd.Options{TLS: nbd.TLSRequire, TLSConfig: a.serverTLS(true)}, nbd.Export{Image: m})
	with, without := a.directory(true), a.directory(false)

	secure := func(dir string) string { return "nbds://localhost:" + port + "/?tls-certificates=" + dir }
	if out := run(t, "nbdinfo", secure(with)); !strings.Contains(out, "newstyle-fixed with TLS") {
		t.Error(out)
	}
	if out, err := try(t, "nbdinfo", secure(without)); err == nil {
		t.Errorf("without a client certificate: %s", out)
	}
	if out, err := try(t, "nbdinfo", "nbd://localhost:"+port); err == nil {
		t.Errorf("without TLS: %s", out)
	}
	file := filepath.Join(t.TempDir(), "copy")
	run(t, "nbdcopy", secure(with), file)
	if got, err := os.ReadFile(file); err != nil || sha256.Sum256(got) != sha256.Sum256(m.content()) {
		t.Errorf("nbdcopy over TLS: other content, %v", err)
	}

	image := func(dir string) []string {
		return []string{
			"--object", "tls-creds-x509,id=tls0,endpoint=client,dir=" + dir, "--image-opts",
			"driver=nbd,host=localhost,port=" + port + ",tls-creds=tls0",
		}
	}
	if out := run(t, "qemu-img", append([]string{"info"}, image(with)...)...); !strings.Contains(out, "8 MiB") {
		t.Error(out)
	}
	if out, err := try(t, "qemu-img", append([]string{"info"}, image(without)...)...); err == nil {
		t.Errorf("qemu-img without a client certificate: %s", out)
	}
	args := append([]string{"convert", "-O", "raw"}, image(with)...)
	run(t, "qemu-img", append(args, file)...)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, m.content()) {
		t.Errorf("qemu-img over TLS: other content, %v", err)
	}
}
