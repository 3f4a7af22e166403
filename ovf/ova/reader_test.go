package ova_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

func TestArchivesAreReadFromPipes(t *testing.T) {
	plain := sound(t)
	for name, p := range map[string][]byte{"plain": plain, "gzip": gzipped(t, plain), "zstd": zstandard(t, plain)} {
		t.Run(name, func(t *testing.T) {
			in, out := io.Pipe()
			go func() {
				_, err := out.Write(p)
				out.CloseWithError(err)
			}()
			contents, report, err := readAll(in, ova.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if contents["disk1.vmdk"] != "disk" || contents["web.ovf"] != descriptor || len(contents) != 3 {
				t.Errorf("the contents are %q", contents)
			}
			if len(report.Verified) != 2 || len(report.Unlisted) != 0 || len(report.Findings) != 0 {
				t.Errorf("the report is %+v", report)
			}
		})
	}
}

func TestManifestsMayComeBeforeOrBehind(t *testing.T) {
	mf := member{name: "web.mf", content: manifest("./web.ovf", descriptor, "disk1.vmdk", "disk")}
	head, disk := member{name: "web.ovf", content: descriptor}, member{name: "disk1.vmdk", content: "disk"}
	broken := member{name: "disk1.vmdk", content: "disc"}
	for name, members := range map[string][]member{"before": {head, mf, disk}, "behind": {head, disk, mf}} {
		_, report, err := readAll(bytes.NewReader(build(t, members...)), ova.Options{})
		if err != nil || len(report.Verified) != 2 {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if m, err := open(t, build(t, members...)).Manifest(); err != nil || len(m.Algorithms()) != 1 {
			t.Errorf("%s: in place %+v, %v", name, m, err)
		}
	}
	for name, members := range map[string][]member{"before": {head, mf, broken}, "behind": {head, broken, mf}} {
		_, _, err := readAll(bytes.NewReader(build(t, members...)), ova.Options{})
		var wrong *ovf.MismatchError
		if !errors.Is(err, ovf.ErrDigest) || !errors.As(err, &wrong) || wrong.File != "disk1.vmdk" {
			t.Errorf("%s, with another content: %v", name, err)
		}
		if _, report, err := readAll(bytes.NewReader(build(t, members...)), ova.Options{KeepGoing: true}); !errors.Is(err, ovf.ErrDigest) || len(report.Verified) != 1 {
			t.Errorf("%s, going on: %+v, %v", name, report, err)
		}
	}
}

// A single flipped bit anywhere in a large member is found, though nobody reads
// the member.
func TestWhatIsPassedOverIsVerified(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 1<<16)
	archive := build(t, member{name: "web.ovf", content: descriptor}, member{name: "big", content: content},
		member{name: "web.mf", content: manifest("big", content)})
	for _, flip := range []bool{false, true} {
		p := bytes.Clone(archive)
		if flip {
			p[1<<19] ^= 1
		}
		r, err := ova.NewReader(bytes.NewReader(p), ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		report, err := r.Verify(ova.Trust{})
		if errors.Is(err, ovf.ErrDigest) != flip {
			t.Errorf("with a flipped bit (%v) it is %v", flip, err)
		}
		if len(report.Unlisted) != 1 || report.Unlisted[0] != "web.ovf" {
			t.Errorf("unlisted are %q", report.Unlisted)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestWhatTheManifestMissesIsTold(t *testing.T) {
	p := build(t, member{name: "web.ovf", content: descriptor}, member{name: "web.mf", content: manifest("web.ovf", descriptor, "disk2.vmdk", "")})
	if _, _, err := readAll(bytes.NewReader(p), ova.Options{}); !errors.Is(err, ova.ErrMissing) || !strings.Contains(err.Error(), "disk2.vmdk") {
		t.Error(err)
	}
	p = build(t, member{name: "web.ovf", content: descriptor}, member{name: "web.cert", content: "nonsense"})
	var format *ovf.FormatError
	if _, _, err := readAll(bytes.NewReader(p), ova.Options{}); !errors.As(err, &format) {
		t.Error(err)
	}
}

// Reading can be stopped in the midst of a member; nothing goes on running.
func TestStopping(t *testing.T) {
	r, err := ova.NewReader(bytes.NewReader(build(t, member{name: "web.ovf", content: descriptor}, member{name: "big", content: strings.Repeat("x", 1<<20)})), ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	m, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Read(make([]byte, 100)); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("reading goes on: %v", err)
	}
	if _, err := r.Next(); err == nil {
		t.Error("the next member comes")
	}
}

func TestHostileArchives(t *testing.T) {
	head := member{name: "web.ovf", content: descriptor}
	for name, c := range map[string]struct {
		archive []byte
		want    error
		member  string
	}{
		"absolute":            {build(t, head, member{name: "/etc/passwd", content: "x"}), ova.ErrName, "/etc/passwd"},
		"upwards":             {build(t, head, member{name: "a/../../x", content: "x"}), ova.ErrName, "a/../../x"},
		"upwards, backslash":  {build(t, head, member{name: `a\..\..\x`, content: "x"}), ova.ErrName, `a\..\..\x`},
		"a drive":             {build(t, head, member{name: `C:x`, content: "x"}), ova.ErrName, "C:x"},
		"control characters":  {build(t, head, member{name: "a\nb", content: "x"}), ova.ErrName, "a\nb"},
		"twice":               {build(t, head, member{name: "d", content: "x"}, member{name: "./d", content: "y"}), ova.ErrName, "./d"},
		"twice, but capitals": {build(t, head, member{name: "d", content: "x"}, member{name: "D", content: "y"}), ova.ErrName, "D"},
		"symbolic link":       {build(t, head, member{name: "d", kind: tar.TypeSymlink, link: "/etc/shadow"}), ova.ErrKind, "d"},
		"hard link":           {build(t, head, member{name: "d", kind: tar.TypeLink, link: "web.ovf"}), ova.ErrKind, "d"},
		"device":              {build(t, head, member{name: "d", kind: tar.TypeBlock}), ova.ErrKind, "d"},
		"pipe":                {build(t, head, member{name: "d", kind: tar.TypeFifo}), ova.ErrKind, "d"},
		"directory upwards":   {build(t, head, member{name: "../x/", kind: tar.TypeDir}), ova.ErrName, "../x/"},
		"no descriptor":       {build(t, member{name: "disk1.vmdk", content: "x"}), ova.ErrNoDescriptor, ""},
		"empty":               {build(t), ova.ErrNoDescriptor, ""},
		"sparse":              {sparse(t, head), errors.ErrUnsupported, "d"},
		"cut in a member":     {sound(t)[:len(descriptor)/2+512], ova.ErrCutShort, "web.ovf"},
		"cut in a header":     {sound(t)[:512+(len(descriptor)+511)/512*512+100], ova.ErrCutShort, ""},
		"two manifests":       {build(t, head, member{name: "web.mf", content: ""}, member{name: "b.mf", content: ""}), ova.ErrName, "b.mf"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := readAll(bytes.NewReader(c.archive), ova.Options{})
			var where *ova.Error
			if !errors.Is(err, c.want) || !errors.As(err, &where) || where.Member != c.member {
				t.Errorf("as a stream: %v", err)
			}
			if _, err = ova.Open(bytes.NewReader(c.archive), int64(len(c.archive)), ova.Limits{}); !errors.Is(err, c.want) && name != "two manifests" {
				t.Errorf("in place: %v", err)
			}
		})
	}
}

// sparse makes a member of GNU's PAX format for files with holes.
func sparse(t *testing.T, head member) []byte {
	p := build(t, head, member{name: "d", content: "1\n0\n1\nx", format: tar.FormatPAX, records: map[string]string{"PANAL.0123456789": "1"}})
	return bytes.Replace(p, []byte("PANAL.0123456789"), []byte("GNU.sparse.major"), 1)
}

func TestOddArchivesAreTakenAndTold(t *testing.T) {
	head := member{name: "web.ovf", content: descriptor}
	for name, c := range map[string]struct {
		archive []byte
		finding string
	}{
		"descriptor second":   {build(t, member{name: "d", content: "x"}, head), "not the first"},
		"two descriptors":     {build(t, head, member{name: "b.ovf", content: "x"}), "second descriptor"},
		"directory":           {build(t, member{name: "./", kind: tar.TypeDir}, head), "directory"},
		"no end":              {build(t, head)[:512+(len(descriptor)+511)/512*512], "without the blocks of zeros"},
		"something behind":    {append(build(t, head), "more"...), "behind the archive's end"},
		"another's manifest":  {build(t, head, member{name: "b.mf", content: ""}), "not named as the descriptor"},
		"global PAX header":   {build(t, member{kind: tar.TypeXGlobalHeader, records: map[string]string{"comment": "x"}}, head), ""},
		"long names in GNU's": {build(t, head, member{name: strings.Repeat("n", 200), content: "x", format: tar.FormatGNU}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, report, err := readAll(bytes.NewReader(c.archive), ova.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if found := len(report.Findings) > 0 && strings.Contains(report.Findings[0].Text, c.finding); found != (c.finding != "") {
				t.Errorf("the findings are %v", report.Findings)
			}
		})
	}
}

// endless gives zeros for ever, counting them.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n += int64(len(p))
	return len(p), nil
}

// bomb compresses an endless archive while it is read.
func bomb(t *testing.T, start []byte) io.ReadCloser {
	t.Helper()
	in, out := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := gzip.NewWriter(out)
		_, _ = io.Copy(w, io.MultiReader(bytes.NewReader(start), &endless{})) // ends when in is closed
	}()
	t.Cleanup(func() { <-done })
	return in
}

func TestEndlessArchives(t *testing.T) {
	head := build(t, member{name: "web.ovf", content: descriptor})
	whole := bytes.Clone(head)
	head = head[:len(head)-1024]
	var big bytes.Buffer
	if err := tar.NewWriter(&big).WriteHeader(&tar.Header{Name: "d", Size: 1 << 45, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		start  []byte
		limits ova.Limits
	}{
		"a member, in all":      {append(bytes.Clone(head), big.Bytes()...), ova.Limits{Total: 1 << 46, Ratio: 1 << 40}},
		"a member, in relation": {append(bytes.Clone(head), big.Bytes()...), ova.Limits{Ratio: 500}},
		"behind the end":        {whole, ova.Limits{Ratio: 1 << 40}},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "in all") {
				c.limits.Total = 200 << 20
			}
			in := bomb(t, c.start)
			_, _, err := readAll(in, ova.Options{Limits: c.limits})
			if !errors.Is(err, ova.ErrLimit) {
				t.Error(err)
			}
			if err := in.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTooManyMembers(t *testing.T) {
	members := []member{{name: "web.ovf", content: descriptor}}
	for _, c := range "abcdef" {
		members = append(members, member{name: string(c)})
	}
	if _, _, err := readAll(bytes.NewReader(build(t, members...)), ova.Options{Limits: ova.Limits{Members: 5}}); !errors.Is(err, ova.ErrLimit) {
		t.Error(err)
	}
}

func TestOtherCompressionsAreRefused(t *testing.T) {
	for _, start := range []string{"BZh91AY", "\xfd7zXZ\x00", "PK\x03\x04\x00\x00"} {
		if _, err := ova.NewReader(strings.NewReader(start), ova.Options{}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%q: %v", start, err)
		}
	}
	p := gzipped(t, sound(t))
	if _, err := ova.Open(bytes.NewReader(p), int64(len(p)), ova.Limits{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, _, err := readAll(bytes.NewReader(p[:len(p)-5]), ova.Options{}); !errors.Is(err, ova.ErrCutShort) {
		t.Errorf("a gzip stream without its end: %v", err)
	}
	p[len(p)-6] ^= 1
	if _, _, err := readAll(bytes.NewReader(p), ova.Options{}); err == nil {
		t.Error("a gzip stream with a wrong checksum is taken")
	}
}

func TestVerifyingTooEarly(t *testing.T) {
	r, err := ova.NewReader(bytes.NewReader(sound(t)), ova.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(ova.Trust{}); err == nil {
		t.Error("it is verified before it was read")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Verify(ova.Trust{}); err == nil {
		t.Error("it is verified after it was closed")
	}
}

// A member's digests are known when it was read.
func TestSums(t *testing.T) {
	r, err := ova.NewReader(bytes.NewReader(sound(t)), ova.Options{Digests: []ovf.Algorithm{ovf.SHA512}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for want := []int{64, 0, 32}; ; want = want[1:] {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Sums() != nil {
			t.Errorf("%s has digests before it was read", m.Name)
		}
		if _, err := io.Copy(io.Discard, m); err != nil {
			t.Fatal(err)
		}
		have := 0
		for _, sum := range m.Sums() {
			have += len(sum)
		}
		if have != want[0] {
			t.Errorf("the digests of %s have %d bytes, not %d", m.Name, have, want[0])
		}
	}
}
