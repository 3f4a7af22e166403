package nbd_test

import (
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
)

// errNoFiles is what accepting gives when the process has too many files open.
var errNoFiles error = syscall.EMFILE

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestExportsAreCheckedBeforeTheyAreServed(t *testing.T) {
	m := newMemory(512)
	for name, try := range map[string]struct {
		exports []nbd.Export
		options nbd.Options
	}{
		"none":        {},
		"no image":    {exports: []nbd.Export{{Name: "a"}}},
		"same name":   {exports: []nbd.Export{{Name: "a", Image: m}, {Name: "a", Image: m}}},
		"long name":   {exports: []nbd.Export{{Name: strings.Repeat("a", 4097), Image: m}}},
		"no UTF-8":    {exports: []nbd.Export{{Name: "\xff", Image: m}}},
		"zero byte":   {exports: []nbd.Export{{Description: "a\x00b", Image: m}}},
		"no TLS keys": {exports: []nbd.Export{{Image: m}}, options: nbd.Options{TLS: nbd.TLSAllow}},
	} {
		_, err := nbd.New(try.exports, try.options)
		var usage *disk.UsageError
		if !errors.As(err, &usage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestList(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Name: "a", Description: "the first", Image: newMemory(1)}, nbd.Export{Name: "b", Image: newMemory(2)})
	c := begin(t, socket)
	c.option(optList, nil)
	for _, want := range []string{"\x00\x00\x00\x01athe first", "\x00\x00\x00\x01b"} {
		if kind, data := c.reply(optList); kind != repServer || string(data) != want {
			t.Errorf("%#x %q", kind, data)
		}
	}
	if kind, _ := c.reply(optList); kind != repAck {
		t.Errorf("%#x", kind)
	}
	if size, _ := c.goTo("b"); size != 2 {
		t.Errorf("b has %d bytes", size)
	}
}

func TestInfo(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Name: "x", Description: "about x", Image: patterned(8192)})
	c := begin(t, socket)
	c.option(optInfo, wants("x", 0, 1, 2, 3, 77))
	got := map[uint16]string{}
	for {
		kind, data := c.reply(optInfo)
		if kind == repAck {
			break
		}
		if kind != repInfo {
			t.Fatalf("%#x %s", kind, data)
		}
		got[binary.BigEndian.Uint16(data)] = string(data[2:])
	}
	want := map[uint16]string{
		0: "\x00\x00\x00\x00\x00\x00\x20\x00\x0d\x6d", 1: "x", 2: "about x",
		3: "\x00\x00\x00\x01\x00\x00\x10\x00\x02\x00\x00\x00",
	}
	for i, v := range want {
		if got[i] != v {
			t.Errorf("info %d is %q, not %q", i, got[i], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("infos %v", got)
	}
	c.option(optInfo, wants("y"))
	if kind, _ := c.reply(optInfo); kind != errUnknown {
		t.Errorf("another name: %#x", kind)
	}
}

func TestTransmissionFlags(t *testing.T) {
	m := patterned(4096)
	for name, try := range map[string]struct {
		export  nbd.Export
		options []uint32
		want    uint16
	}{
		"simple":     {nbd.Export{Image: m}, nil, 0b1101_0110_1101},
		"structured": {nbd.Export{Image: m}, []uint32{optStructured}, 0b1101_1110_1101},
		"resize":     {nbd.Export{Image: m, Resize: true}, nil, 0b1111_0110_1101},
		"unable":     {nbd.Export{Image: plain{m}, Resize: true}, nil, 0b1101_0110_1101},
		"read-only":  {nbd.Export{Image: m, ReadOnly: true, Resize: true}, []uint32{optStructured}, 0b0101_1000_0111},
	} {
		_, socket := serve(t, nbd.Options{}, try.export)
		c := begin(t, socket)
		for _, o := range try.options {
			c.option(o, nil)
			c.reply(o)
		}
		if size, flags := c.goTo(""); flags != try.want || size != 4096 {
			t.Errorf("%s: flags %#b, size %d", name, flags, size)
		}
	}
}

func TestExportName(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Name: "x", Image: patterned(5000)})
	for flags, padding := range map[uint32]int{0: 124, 1: 124, 3: 0} {
		c := dial(t, socket)
		c.put(flags)
		c.option(optExportName, []byte("x"))
		if p := c.take(10 + padding); binary.BigEndian.Uint64(p) != 5000 {
			t.Errorf("flags %d: % x", flags, p)
		}
		if got, _, e := c.read(0, 1000, 500); e != 0 || string(got) != string(pattern(1000, 500)) {
			t.Errorf("flags %d: error %d, or wrong data", flags, e)
		}
	}
	c := begin(t, socket)
	c.option(optExportName, []byte("y"))
	c.closed()
}

func TestOptionsThatAreRefused(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: newMemory(512)})
	c := begin(t, socket)
	for _, try := range []struct {
		name   string
		option uint32
		data   []byte
		want   uint32
	}{
		{"unknown", 99, nil, errUnsup},
		{"unknown with data", 99, make([]byte, 4000), errUnsup},
		{"list with data", optList, []byte("x"), errInvalid},
		{"structured with data", optStructured, []byte("x"), errInvalid},
		{"extended with data", optExtended, []byte("x"), errInvalid},
		{"too long", optInfo, make([]byte, 65<<10), errTooBig},
		{"no name", optGo, nil, errInvalid},
		{"name too long", optGo, []byte("\x00\x00\x10\x00"), errInvalid},
		{"name far too long", optGo, []byte("\xff\xff\xff\xff\x00\x00"), errInvalid},
		{"infos missing", optGo, []byte("\x00\x00\x00\x00\x00\x01"), errInvalid},
		{"infos too many", optGo, []byte("\x00\x00\x00\x00\x00\x00\x00\x00"), errInvalid},
		{"contexts before chunks", optSetMeta, queries(""), errInvalid},
		{"TLS", optStartTLS, nil, errPolicy},
		{"structured", optStructured, nil, repAck},
		{"contexts of nothing", optSetMeta, queries("y", "base:allocation"), errUnknown},
		{"contexts cut off", optSetMeta, queries("", "base:allocation")[:15], errInvalid},
		{"contexts that claim more", optListMeta, []byte("\x00\x00\x00\x00\xff\xff\xff\xff"), errInvalid},
		{"contexts without namespace", optListMeta, queries("", "allocation"), errInvalid},
		{"structured, again", optStructured, nil, repAck},
		{"extended", optExtended, nil, repAck},
		{"structured after extended", optStructured, nil, 1<<31 + 10},
		{"abort", optAbort, []byte("because"), repAck},
	} {
		c.option(try.option, try.data)
		if kind, text := c.reply(try.option); kind != try.want {
			t.Errorf("%s: %#x %s", try.name, kind, text)
		}
	}
	c.closed()
}

func TestMetaContexts(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: newMemory(512)})
	c := begin(t, socket)
	c.option(optStructured, nil)
	c.reply(optStructured)
	for _, try := range []struct {
		option  uint32
		queries []string
		want    string
	}{
		{optListMeta, nil, "base:allocation qemu:allocation-depth"},
		{optListMeta, []string{"base:"}, "base:allocation"},
		{optListMeta, []string{"qemu:", "x-none:", "base:none"}, "qemu:allocation-depth"},
		{optListMeta, []string{"x-none:"}, ""},
		{optSetMeta, nil, ""},
		{optSetMeta, []string{"base:", "qemu:dirty-bitmap:b"}, ""},
		{optSetMeta, []string{"base:allocation", "base:allocation"}, "base:allocation"},
		{optSetMeta, []string{"qemu:allocation-depth", "base:allocation"}, "base:allocation qemu:allocation-depth"},
	} {
		c.option(try.option, queries("", try.queries...))
		var got []string
		ids := map[uint32]bool{}
		for {
			kind, data := c.reply(try.option)
			if kind == repAck {
				break
			}
			if kind != repMeta {
				t.Fatalf("%v: %#x %s", try.queries, kind, data)
			}
			got = append(got, string(data[4:]))
			ids[binary.BigEndian.Uint32(data)] = true
		}
		if strings.Join(got, " ") != try.want || try.option == optSetMeta && len(ids) != len(got) {
			t.Errorf("%d %v: %v", try.option, try.queries, got)
		}
	}
}

// Contexts count for the export that they were asked for, and no other.
func TestMetaContextsOfAnotherExport(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: newMemory(512)}, nbd.Export{Name: "b", Image: newMemory(512)})
	c := begin(t, socket)
	c.option(optStructured, nil)
	c.reply(optStructured)
	c.structured = true
	c.option(optSetMeta, queries("b", "base:allocation"))
	c.reply(optSetMeta)
	c.reply(optSetMeta)
	c.goTo("")
	if e := c.do(status, 0, 0, 512, nil); e != einval {
		t.Errorf("errno %d", e)
	}
}

func TestHandshakesThatEndAtOnce(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: newMemory(512)})
	for name, send := range map[string]func(c *client){
		"unknown flag":       func(c *client) { c.put(uint32(7)) },
		"wrong magic":        func(c *client) { c.put(uint32(3), uint64(1), uint64(0)) },
		"gigabytes":          func(c *client) { c.put(uint32(3), uint64(0x49484156454f5054), uint32(optInfo), uint32(1<<31)) },
		"gigabytes for name": func(c *client) { c.put(uint32(3), uint64(0x49484156454f5054), uint32(optExportName), uint32(1<<31)) },
		"not fixed":          func(c *client) { c.put(uint32(0)); c.option(optList, nil) },
		"extended and old": func(c *client) {
			c.put(uint32(3))
			c.option(optExtended, nil)
			c.reply(optExtended)
			c.option(optExportName, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, socket)
			send(c)
			c.closed()
		})
	}
}

// A client that cannot make up its mind does not do so for ever.
func TestEndlessOptions(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: newMemory(512)})
	c := begin(t, socket)
	for range 1024 {
		c.option(99, nil)
		c.reply(99)
	}
	c.closed()
}

func TestHandshakeTimeout(t *testing.T) {
	_, socket := serve(t, nbd.Options{HandshakeTimeout: 50 * time.Millisecond}, nbd.Export{Image: newMemory(512)})
	begin(t, socket).closed()
}
