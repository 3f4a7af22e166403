package importer

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/xva"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/appliance/xenxml"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// members are the files of an OVA, as they come.
type members struct {
	arrival *Arrival
	reader  *ova.Reader
	env     *ovf.Envelope
	ciphers map[string]*ovf.Cipher // by the file's ID
	disks   map[string]appliance.Disk
	early   []early     // came before the descriptor
	held    *ova.Member // that was read to see whether it is a further part
	misfits []misfit    // that came so far
}

// early is a member that came before the descriptor, kept in a file.
type early struct {
	name string
	file disk.File
	size int64
}

// openOVA reads an OVA as far as its descriptor.
func (a *Arrival) openOVA(r io.Reader) error {
	reader, err := ova.NewReader(r, ova.Options{})
	if err != nil {
		return err
	}
	m := &members{arrival: a, reader: reader, disks: map[string]appliance.Disk{}}
	a.closers = append(a.closers, reader, m)
	a.items = m
	for m.env == nil {
		member, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return &ova.Error{Err: ova.ErrNoDescriptor}
		}
		if err != nil {
			return err
		}
		switch member.Kind {
		case ova.Descriptor:
			err = m.describe(member)
		case ova.File:
			err = m.keep(member)
		case ova.Manifest, ova.Certificate:
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe reads the descriptor.
func (m *members) describe(r io.Reader) error {
	a := m.arrival
	env, ciphers, err := readEnvelope(r, a.label, a.options.Passphrase)
	if err != nil {
		return err
	}
	if a.Appliance, err = envelope.Read(env, a.options.Choices); err != nil {
		return err
	}
	for _, machine := range a.Appliance.Machines {
		for _, d := range machine.Disks {
			if d.Remote {
				return problem.New(api.KindUnsupported, "save it to a file first, and import that with --remote",
					"import %s: its disk lies elsewhere, at %s, and is fetched for files alone", a.label, d.File)
			}
		}
	}
	m.env, m.ciphers = env, ciphers
	if err := markEncrypted(a.Appliance, env); err != nil {
		return err
	}
	if len(m.early) > 0 {
		a.Appliance.Notes = append(a.Appliance.Notes, appliance.Notef("archive",
			"the descriptor comes behind %d other files, which were kept in the pool until it was known what they are", len(m.early)))
	}
	for i := range a.Appliance.Machines {
		for _, d := range a.Appliance.Machines[i].Disks {
			m.disks[d.File] = d
		}
	}
	return nil
}

// keep keeps a member until it is known what it is.
func (m *members) keep(member *ova.Member) error {
	if m.arrival.options.Stage == nil {
		return problem.New(api.KindUnsupported, "import it, or save it to a file first",
			"import %s: its descriptor comes behind other files, which would have to be kept", m.arrival.label)
	}
	file, err := m.arrival.options.Stage()
	if err != nil {
		return err
	}
	m.early = append(m.early, early{member.Name, file, member.Size})
	_, err = diskfile.Pour(file, &roomy{r: member, room: m.arrival.options.Room})
	return err
}

// Close gives back what was kept.
func (m *members) Close() error {
	var failed error
	for _, e := range m.early {
		failed = errors.Join(failed, e.file.Close())
	}
	m.early = nil
	return failed
}

func (m *members) next() (*Content, error) {
	for i := range m.early {
		e := &m.early[i]
		if e.name == "" {
			continue
		}
		f, part := ova.FileOf(m.env, e.name)
		name := e.name
		e.name = ""
		if f == nil || part > 0 {
			continue // a further part is read with its first
		}
		if f.ChunkSize != nil {
			return nil, problem.New(api.KindUnsupported, "save it to a file first, and import that", "import %s: %s is cut into parts that come before the descriptor", m.arrival.label, name)
		}
		return m.content(f, io.NewSectionReader(e.file, 0, e.size), e.size, true)
	}
	for {
		member, err := m.member()
		if err != nil {
			return nil, err
		}
		f, part := ova.FileOf(m.env, member.Name)
		switch {
		case f == nil || member.Kind != ova.File:
			continue
		case part > 0:
			return nil, problem.New(api.KindUnsupported, "save it to a file first, and import that",
				"import %s: part %d of %s does not follow the one before it", m.arrival.label, part, f.Href)
		case f.ChunkSize == nil:
			return m.content(f, member, member.Size, false)
		}
		return m.content(f, &chunked{members: m, file: f, now: member}, -1, false)
	}
}

// member is the one that is held, or the next.
func (m *members) member() (*ova.Member, error) {
	if held := m.held; held != nil {
		m.held = nil
		return held, nil
	}
	return m.reader.Next()
}

// content makes the content of a file of what stands in the archive.
func (m *members) content(f *ovf.File, r io.Reader, size int64, kept bool) (*Content, error) {
	if m.disks[f.Href].Encryption != "" && m.ciphers[f.ID] == nil {
		return nil, errEncrypted(m.arrival.label, f.Href)
	}
	if wrong, ok := misfitOf(f, m.ciphers[f.ID] != nil, size); ok {
		m.misfits = append(m.misfits, wrong)
	}
	r, size, err := unwrap(m.disks[f.Href], r, size, m.ciphers[f.ID])
	if err != nil {
		return nil, err
	}
	return &Content{File: f.Href, Kept: kept, r: r, size: size, most: bound(m.disks[f.Href]), options: m.arrival.options, format: m.disks[f.Href].Format}, nil
}

// unwrap decrypts and decompresses the content of a file.
func unwrap(d appliance.Disk, r io.Reader, size int64, cipher *ovf.Cipher) (io.Reader, int64, error) {
	if cipher != nil {
		r, size = cipher.Reader(r), -1
	}
	r, size, err := decompressed(d, r, size)
	if cipher == nil {
		return r, size, err
	}
	if errors.Is(err, gzip.ErrHeader) {
		err = fmt.Errorf("%s: %w", d.File, ovf.ErrPassphrase)
	}
	if err != nil {
		return nil, 0, err
	}
	r, err = judged(d, r)
	return r, size, err
}

func decompressed(d appliance.Disk, r io.Reader, size int64) (io.Reader, int64, error) {
	switch d.Compression {
	case "":
		return r, size, nil
	case "gzip":
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", d.File, err)
		}
		return &limited{r: z, most: bound(d)}, -1, nil
	}
	return nil, 0, fmt.Errorf("%s is compressed by %q, which is not understood", d.File, d.Compression)
}

// limited ends with an error when more comes than should.
type limited struct {
	r    io.Reader
	most int64
	n    int64
}

// Read reads.
func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.n += int64(n); l.n > l.most {
		return 0, fmt.Errorf("there is more of it than the %d bytes that such a disk can take", l.most)
	}
	return n, err
}

// chunked is a file that is cut into parts, which follow one another.
type chunked struct {
	members *members
	file    *ovf.File
	now     *ova.Member
	part    int
	n       int64 // bytes of this part
	total   int64 // bytes of all so far
}

// Read reads on, into the next part where one ends.
func (c *chunked) Read(p []byte) (int, error) {
	for {
		if c.now == nil {
			return 0, io.EOF
		}
		n, err := c.now.Read(p)
		c.n, c.total = c.n+int64(n), c.total+int64(n)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := c.follow(); err != nil {
			return 0, err
		}
	}
}

// follow goes on to the next part. It fails when one is shorter or longer than the
// description says, and with io.EOF behind the last.
func (c *chunked) follow() error {
	c.now = nil
	next, err := c.members.member()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err == nil {
		if f, part := ova.FileOf(c.members.env, next.Name); f == c.file && part == c.part+1 {
			if c.n != *c.file.ChunkSize {
				return fmt.Errorf("part %d of %s has %d bytes, and the description says %d", c.part, c.file.Href, c.n, *c.file.ChunkSize)
			}
			c.now, c.part, c.n = next, part, 0
			return nil
		}
		c.members.held = next
	}
	if c.file.Size != nil && c.total != *c.file.Size {
		return fmt.Errorf("the %d parts of %s have %d bytes together, and the description says %d", c.part+1, c.file.Href, c.total, *c.file.Size)
	}
	return io.EOF
}

func (m *members) verify(t Trust) (Integrity, error) {
	report, err := m.reader.Verify(ova.Trust{Roots: t.Roots})
	if err != nil {
		return Integrity{}, err
	}
	listed := &Source{}
	listed.refer("", m.env)
	known := integrity(report)
	if err := judge(m.arrival.label, m.misfits, known); err != nil {
		return known, err
	}
	for _, wrong := range m.misfits {
		known.Findings = append(known.Findings, wrong.String())
	}
	return known, listed.complete(report.Unlisted, report.Signer != nil)
}

// openXVA reads an export of XenServer or XCP-ng as far as its description.
func (a *Arrival) openXVA(r io.Reader) error {
	reader, err := xva.NewReader(r)
	if err != nil {
		return err
	}
	if a.Appliance, err = xenxml.Read(reader.Description()); err != nil {
		return err
	}
	a.items = &chunks{reader: reader, options: a.options}
	return nil
}

// chunks are the disks of an XVA, as they come.
type chunks struct {
	reader  *xva.Reader
	options ReceiveOptions
	now     disk.Stream
}

func (c *chunks) next() (*Content, error) {
	if err := c.passOver(); err != nil {
		return nil, err
	}
	d, s, err := c.reader.Next()
	if err != nil {
		return nil, err
	}
	c.now = s
	return &Content{File: d.Ref, stream: s, options: c.options}, nil
}

// passOver reads to the end of a disk that nobody wanted.
func (c *chunks) passOver() error {
	var buffer []byte
	if c.now != nil {
		buffer = make([]byte, disk.MaxPiece)
	}
	for c.now != nil {
		switch _, err := c.now.Next(buffer); {
		case errors.Is(err, io.EOF):
			c.now = nil
		case err != nil:
			return err
		}
	}
	return nil
}

func (c *chunks) verify(Trust) (Integrity, error) {
	return xenIntegrity(c.reader.Sums()), nil
}
