package ova

import (
	"fmt"
	"io"
	"net/url"
	"path"
	"sort"
	"strings"

	"github.com/panalvm/panal/ovf"
)

// Reference is a file of the descriptor with the members that it consists of.
type Reference struct {
	File    *ovf.File
	Members []Entry // one, or its chunks in order; none if it is remote or missing
}

// Size is how many bytes the members have together.
func (r Reference) Size() int64 {
	n := int64(0)
	for _, m := range r.Members {
		n += m.Size
	}
	return n
}

// References finds the members of all files of a descriptor, and tells what does
// not fit: files that are missing, or have another size than the descriptor
// says; members that it does not mention.
func References(env *ovf.Envelope, members []Entry) ([]Reference, []ovf.Finding) {
	byName := map[string]Entry{}
	for _, m := range members {
		byName[m.Name] = m
	}
	m := matcher{byName: byName, mentioned: map[string]bool{}}
	var all []Reference
	for i := range env.Files {
		all = append(all, m.match(&env.Files[i]))
	}
	for _, e := range members {
		if e.Kind == File && !m.mentioned[e.Name] {
			m.find(ovf.Note, e.Name, "the descriptor does not mention it")
		}
	}
	return all, m.findings
}

// matcher looks for the members of files.
type matcher struct {
	byName    map[string]Entry
	mentioned map[string]bool
	findings  []ovf.Finding
}

func (m *matcher) find(severity ovf.Severity, where, text string, args ...any) {
	if len(m.findings) < 1000 {
		m.findings = append(m.findings, ovf.Finding{Severity: severity, Where: where, Text: fmt.Sprintf(text, args...)})
	}
}

func (m *matcher) match(f *ovf.File) Reference {
	r := Reference{File: f}
	if f.IsRemote() {
		return r
	}
	for n := 0; ; n++ {
		name, ok := memberName(f, n, func(name string) bool { _, ok := m.byName[name]; return ok })
		if !ok {
			break
		}
		m.mentioned[name] = true
		r.Members = append(r.Members, m.byName[name])
		if f.ChunkSize == nil {
			break
		}
	}
	switch {
	case len(r.Members) == 0:
		m.find(ovf.Error, f.Href, "the descriptor refers to it, and it is not in the archive")
	case f.Size != nil && *f.Size != r.Size():
		m.find(ovf.Warning, f.Href, "it has %d bytes and the descriptor says %d", r.Size(), *f.Size)
	}
	return r
}

// memberName is the name of the nth chunk of a file, or of the file. In
// descriptors it may be escaped as in a URL.
func memberName(f *ovf.File, n int, exists func(string) bool) (string, bool) {
	plain, err := url.PathUnescape(f.Href)
	if err != nil {
		plain = f.Href
	}
	for _, name := range []string{f.Href, plain} {
		name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
		if f.ChunkSize != nil {
			name = fmt.Sprintf("%s.%09d", name, n)
		}
		if exists(name) {
			return name, true
		}
	}
	return "", false
}

// FileOf finds the file of a descriptor that a member is, or is a chunk of; nil
// if there is none. It is for who takes members from a stream.
func FileOf(env *ovf.Envelope, member string) (f *ovf.File, chunk int) {
	base, number := member, 0
	if dot := strings.LastIndexByte(member, '.'); dot >= 0 && len(member)-dot-1 == 9 {
		if n, err := fmt.Sscanf(member[dot+1:], "%09d", &number); n == 1 && err == nil && number >= 0 {
			base = member[:dot]
		}
	}
	for i := range env.Files {
		f := &env.Files[i]
		at := 0
		if f.ChunkSize != nil && base != member {
			at = number
		}
		if _, ok := memberName(f, at, func(name string) bool { return name == member }); ok && !f.IsRemote() {
			return f, at
		}
	}
	return nil, 0
}

// File reads a file of the descriptor in place, chunks as one.
func (a *Archive) File(r Reference) *io.SectionReader {
	if len(r.Members) == 1 {
		return a.Content(&r.Members[0])
	}
	joined := &chunks{}
	for i := range r.Members {
		joined.starts = append(joined.starts, joined.size)
		joined.parts = append(joined.parts, a.Content(&r.Members[i]))
		joined.size += r.Members[i].Size
	}
	return io.NewSectionReader(joined, 0, joined.size)
}

// chunks is several sections as one.
type chunks struct {
	starts []int64
	parts  []*io.SectionReader
	size   int64
}

func (c *chunks) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) && off < c.size {
		i := sort.Search(len(c.starts), func(i int) bool { return c.starts[i] > off }) - 1
		within := off - c.starts[i]
		n, err := c.parts[i].ReadAt(p[done:min(int64(len(p)), int64(done)+c.parts[i].Size()-within)], within)
		done += n
		off += int64(n)
		if err != nil && err != io.EOF {
			return done, err
		}
		if n == 0 {
			break
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}
