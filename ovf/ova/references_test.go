package ova_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

func number(n int64) *int64 { return &n }

func open(t interface{ Fatal(...any) }, p []byte) *ova.Archive {
	a, err := ova.Open(bytes.NewReader(p), int64(len(p)), ova.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestReferences(t *testing.T) {
	a := open(t, build(t, member{name: "web.ovf", content: descriptor}, member{name: "disk1.vmdk", content: "disk"}, member{name: "my disk.img", content: "x"},
		member{name: "c.000000000", content: "ab"}, member{name: "c.000000001", content: "c"}, member{name: "other", content: "x"}))
	env := &ovf.Envelope{Files: []ovf.File{
		{ID: "1", Href: "disk1.vmdk", Size: number(5)},
		{ID: "2", Href: "my%20disk.img", Size: number(1)},
		{ID: "3", Href: "./c", Size: number(3), ChunkSize: number(2)},
		{ID: "4", Href: "gone"},
		{ID: "5", Href: "https://example.org/other"},
	}}
	references, findings := ova.References(env, a.Members())
	var have []string
	for _, r := range references {
		have = append(have, fmt.Sprintf("%s:%d/%d", r.File.ID, len(r.Members), r.Size()))
	}
	if have := strings.Join(have, " "); have != "1:1/4 2:1/1 3:2/3 4:0/0 5:0/0" {
		t.Errorf("the references are %s", have)
	}
	want := []string{
		"warning: disk1.vmdk: it has 4 bytes and the descriptor says 5", "error: gone: the descriptor refers to it, and it is not in the archive",
		"note: other: the descriptor does not mention it",
	}
	if fmt.Sprint(findings) != fmt.Sprint(want) {
		t.Errorf("the findings are %v", findings)
	}
	for name, want := range map[string]string{"disk1.vmdk": "1/0", "my disk.img": "2/0", "c.000000001": "3/1", "c": "", "other": "", "x.000000001": ""} {
		have := ""
		if f, chunk := ova.FileOf(env, name); f != nil {
			have = fmt.Sprintf("%s/%d", f.ID, chunk)
		}
		if have != want {
			t.Errorf("%s is of %q, not %q", name, have, want)
		}
	}
}

// Chunks read as one file.
func TestChunksAreOneFile(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		members := []member{{name: "web.ovf", content: descriptor}}
		size := rapid.IntRange(1, 7).Draw(rt, "size")
		content := rapid.StringMatching(`[a-z]{0,40}`).Draw(rt, "content")
		for i := 0; i*size < len(content) || i == 0; i++ {
			members = append(members, member{name: fmt.Sprintf("c.%09d", i), content: content[i*size : min(len(content), (i+1)*size)]})
		}
		a := open(rt, build(t, members...))
		references, findings := ova.References(&ovf.Envelope{Files: []ovf.File{{Href: "c", Size: number(int64(len(content))), ChunkSize: number(int64(size))}}}, a.Members())
		file := a.File(references[0])
		have, err := io.ReadAll(file)
		if err != nil || string(have) != content || len(findings) != 0 {
			rt.Fatalf("it is %q, %v, %v", have, err, findings)
		}
		off := rapid.IntRange(0, len(content)).Draw(rt, "off")
		p := make([]byte, rapid.IntRange(0, 50).Draw(rt, "n"))
		n, err := file.ReadAt(p, int64(off))
		if want := content[off:min(len(content), off+len(p))]; string(p[:n]) != want || (err == nil) != (n == len(p) && (n > 0 || off < len(content))) && len(p) > 0 {
			rt.Fatalf("at %d it is %q, %v; it should be %q", off, p[:n], err, want)
		}
	})
}
