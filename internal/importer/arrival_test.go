package importer_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/importer"
	"github.com/panalvm/panal/internal/problem"
)

// stage makes files without names in a directory.
func stage(dir string) func() (disk.File, error) {
	return func() (disk.File, error) {
		s := hostfs.NewStage(hostfs.Everywhere())
		defer s.Abort()
		return s.Create(filepath.Join(dir, "content"))
	}
}

// received reads all that comes through a pipe, and returns the content of the disk.
func received(t *testing.T, pipe io.Reader, o importer.ReceiveOptions) (string, error) {
	t.Helper()
	dir := t.TempDir()
	o.Label, o.Stage = "-", stage(dir)
	a, err := importer.Receive(pipe, o)
	if err != nil {
		return "", err
	}
	defer a.Close()
	var got []byte
	for {
		c, err := a.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		s, rest, err := c.Stream()
		switch {
		case errors.Is(err, disk.ErrForward):
			if got, err = io.ReadAll(rest); err != nil {
				return "", err
			}
			continue
		case err != nil:
			return "", err
		}
		if got, err = all(s); err != nil {
			return "", err
		}
	}
	if _, err := a.Verify(t.Context(), importer.Trust{}); err != nil {
		return "", err
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("there is left %v, %v", left, err)
	}
	return string(got), nil
}

// all is what a stream of a disk holds.
func all(s disk.Stream) ([]byte, error) {
	var got []byte
	buffer, decoded := make([]byte, disk.MaxPiece), make([]byte, disk.MaxPiece)
	for {
		piece, err := s.Next(buffer)
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := s.Decode(decoded, piece)
		if err != nil {
			return nil, err
		}
		if end := piece.Off + piece.Len; int64(len(got)) < end {
			got = append(got, make([]byte, end-int64(len(got)))...)
		}
		copy(got[piece.Off:], data)
	}
}

// pieces cuts text into members of an archive.
func pieces(name, text string, size int) []string {
	var members []string
	for i := 0; i*size < len(text); i++ {
		members = append(members, fmt.Sprintf("%s.%09d", name, i), text[i*size:min(len(text), i*size+size)])
	}
	return members
}

func TestDisksThatArePackedAndCutComeThroughAPipe(t *testing.T) {
	z := zipped(t, content)
	cut := func(attributes string) string { return descriptor(`ovf:href="d.img" `+attributes, len(content)) }
	for name, c := range map[string]struct {
		members []string
		want    string // of the error; empty for none
	}{
		"compressed":               {[]string{"a.ovf", cut(`ovf:compression="gzip"`), "d.img", z}, ""},
		"in parts":                 {append([]string{"a.ovf", cut(`ovf:chunkSize="40000"`)}, pieces("d.img", content, 40000)...), ""},
		"both":                     {append([]string{"a.ovf", cut(`ovf:chunkSize="100" ovf:compression="gzip"`)}, pieces("d.img", z, 100)...), ""},
		"compressed, cut short":    {[]string{"a.ovf", cut(`ovf:compression="gzip"`), "d.img", z[:len(z)/2]}, "unexpected EOF"},
		"not compressed after all": {[]string{"a.ovf", cut(`ovf:compression="gzip"`), "d.img", content}, "invalid header"},
		"packed otherwise":         {[]string{"a.ovf", cut(`ovf:compression="rar"`), "d.img", content}, "not understood"},
		"a part that is missing":   {append([]string{"a.ovf", cut(`ovf:chunkSize="10000"`)}, append(pieces("d.img", content, 10000)[:4], pieces("d.img", content, 10000)[6:]...)...), "part 3 of d.img does not follow"},
		"a part that is short":     {[]string{"a.ovf", cut(`ovf:chunkSize="40000"`), "d.img.000000000", content[:30000], "d.img.000000001", content[40000:]}, "part 0 of d.img has 30000 bytes, and the description says 40000"},
		"the last part is missing": {append([]string{"a.ovf", cut(fmt.Sprintf(`ovf:chunkSize="40000" ovf:size="%d"`, len(content)))}, pieces("d.img", content, 40000)[:2]...), "the 1 parts of d.img have 40000 bytes together"},
		"another digest":           {append([]string{"a.ovf", cut(`ovf:chunkSize="40000"`), "a.mf", digest("d.img.000000001", "another")}, pieces("d.img", content, 40000)...), "d.img.000000001"},
		"elsewhere":                {[]string{"a.ovf", descriptor(`ovf:href="http://127.0.0.1:1/d.img"`, 512)}, "fetched for files alone"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := received(t, strings.NewReader(archive(t, c.members...)), importer.ReceiveOptions{})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("got %v, want %q", err, c.want)
				}
				return
			}
			if err != nil || got != content {
				t.Errorf("it holds %.40q… of %d bytes, %v", got, len(got), err)
			}
		})
	}
}

// What is in no known format has at least a disk's length.
func TestWhatIsNoDiskIsRefusedFromAPipe(t *testing.T) {
	page := "<html>404 not found</html>\n"
	for name, c := range map[string]struct{ in, refused string }{
		"a page":         {page, "27 bytes is no raw disk's length"},
		"nothing":        {"", "there is nothing to read"},
		"a page, packed": {zipped(t, page), "27 bytes is no raw disk's length"},
		"a long one":     {strings.Repeat(page, 100_000), "2700000 bytes is no raw disk's length"},
		"sectors":        {strings.Repeat("x", 1024), ""},
		"a MiB":          {strings.Repeat("x", 1<<20), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := received(t, strings.NewReader(c.in), importer.ReceiveOptions{Name: "x"})
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("got %v, want %q", err, c.refused)
			}
			if err != nil && problem.Of(err).Kind != api.KindUnreadable {
				t.Errorf("%v is %s", err, problem.Of(err).Kind)
			}
		})
	}
}

// endless is a gzip stream of a pattern that never ends.
func endless(t *testing.T) io.Reader {
	t.Helper()
	in, out := io.Pipe()
	t.Cleanup(func() { _ = in.Close() })
	go func() {
		z := gzip.NewWriter(out)
		for block := bytes.Repeat([]byte("more "), 100_000); ; {
			if _, err := z.Write(block); err != nil {
				return
			}
		}
	}()
	return in
}

// A disk that goes on and on is bounded by what the description says of it, in whatever format
// it comes; and so is an archive that goes on behind its end.
func TestEndlessContentThroughAPipeIsRefused(t *testing.T) {
	const tooMuch = 300 << 20
	bomb := func(head string) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, err := z.Write([]byte(head))
		block := make([]byte, 1<<20)
		for n := 0; n < tooMuch && err == nil; n += len(block) {
			_, err = z.Write(block)
		}
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	d := descriptor(`ovf:href="d.img" ovf:compression="gzip"`, len(content))
	for name, head := range map[string]string{"raw": "", "what cannot be read forward": "vhdxfile"} {
		t.Run(name, func(t *testing.T) {
			_, err := received(t, strings.NewReader(archive(t, "a.ovf", d, "d.img", bomb(head))), importer.ReceiveOptions{})
			if err == nil || !strings.Contains(err.Error(), "there is more of it than the") {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("a disk alone", func(t *testing.T) {
		looks := 0
		room := func() error {
			if looks++; looks > 2 {
				return errors.New("no room is left")
			}
			return nil
		}
		if _, err := received(t, endless(t), importer.ReceiveOptions{Name: "x", Room: room}); err == nil || !strings.Contains(err.Error(), "no room is left") {
			t.Errorf("got %v", err)
		}
	})
}

// What is kept for a while is kept only as long as there is room.
func TestWhatIsKeptLeavesRoom(t *testing.T) {
	full := importer.ReceiveOptions{Room: func() error { return errors.New("no room is left") }}
	vhdx := "vhdxfile" + content
	for name, members := range map[string][]string{
		"a disk before its descriptor":       {"d.img", content, "a.ovf", descriptor(`ovf:href="d.img"`, len(content))},
		"a disk that cannot be read forward": {"a.ovf", descriptor(`ovf:href="d.vhdx"`, len(content)), "d.vhdx", vhdx},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := received(t, strings.NewReader(archive(t, members...)), full); err == nil || !strings.Contains(err.Error(), "no room is left") {
				t.Errorf("got %v", err)
			}
		})
	}
}
