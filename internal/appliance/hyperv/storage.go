package hyperv

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
	"strconv"

	"golang.org/x/text/encoding/unicode"
)

// The container of .vmcx and .VMRS files, version 4.0, all little-endian. It is
// not described by its makers; this is what other readers found out, and what
// files of Windows Server 2016 and later look like.
//
//	0x0000  header: signature, CRC-32 of its 46 bytes with the sum as 0, sequence (u16), version (u32), …
//	        at 0x1a where the log is (u64)
//	0x1000  the same again; the one of the higher sequence counts
//	0x2000  table of objects: signature, count (u32); of 18 bytes each:
//	        kind (u8), CRC-32, where it is (u64), its length (u32), in use (u8)
//	        kind 1 a further such table, 2 keys, 3 a long value, 6 a log
//
//	log     signature, CRC-32, count of changes that are not yet where they belong (u32)
//	keys    signature (u16), number of the table from 1 (u16), sequence (u16), CRC-32; then entries
//	entry   type (u8), flags (u8), length (u32), table (u16) and place in it (u32) of the key above,
//	        CRC-32, order of insertion (u32), offset of the value (u8); name, 0, value
const (
	headerSignature = 0x01282014
	headerLength    = 46
	tableSignature  = 0x01110001
	logSignature    = 0x01110003
	keysSignature   = 2
	objectsAt       = 0x2000
	objectLength    = 18
	keysLength      = 10
	entryLength     = 21

	objectTable = 1
	objectKeys  = 2
)

// Types of entries, and the flag of a value that is an object of its own.
const (
	typeFree   = 1
	typeInt    = 3
	typeUint   = 4
	typeDouble = 5
	typeString = 6
	typeBytes  = 7
	typeBool   = 8
	typeNode   = 9

	flagObject = 1
)

// maxKeys bounds the keys of a store; real ones have a thousand.
const maxKeys = 1 << 17

var errCut = errors.New("it is cut off, or is damaged")

// storage reads a store of keys and values.
type storage struct {
	data   []byte
	logged bool // the log has changes that are not in the tables
	tables map[uint16]keyTable
}

// keyTable is a table of keys.
type keyTable struct {
	sequence uint16
	data     []byte
}

// keyRef is where an entry is.
type keyRef struct {
	table  uint16
	offset uint32
}

// isStorage tells whether a file is a store.
func isStorage(data []byte) bool {
	return len(data) >= 4 && binary.LittleEndian.Uint32(data) == headerSignature
}

// readStorage reads a store. Its root has no name. Logged tells that the file
// has changes in its log, which are not read.
func readStorage(data []byte) (root *node, logged bool, err error) {
	s := &storage{data: data, tables: map[uint16]keyTable{}}
	if err := s.header(); err != nil {
		return nil, false, err
	}
	if err := s.objects(objectsAt, map[uint64]bool{}); err != nil {
		return nil, false, err
	}
	root, err = s.tree()
	return root, s.logged, err
}

// at is a part of the file.
func (s *storage) at(offset, length uint64) ([]byte, error) {
	size := uint64(len(s.data))
	if offset > size || length > size-offset {
		return nil, errCut
	}
	return s.data[offset : offset+length], nil
}

// header finds the header that counts, and looks at the log.
func (s *storage) header() error {
	var newest []byte
	for _, offset := range []uint64{0, 0x1000} {
		h, err := s.at(offset, headerLength)
		if err != nil || !isStorage(h) || !sumFits(h) {
			continue
		}
		if newest == nil || sequenceOf(h) > sequenceOf(newest) {
			newest = h
		}
	}
	if newest == nil {
		return errors.New("neither of its headers is whole")
	}
	if version := binary.LittleEndian.Uint32(newest[10:]); version>>8 != 4 {
		return fmt.Errorf("its version is %d.%d; only 4.x is known", version>>8, version&0xff)
	}
	log, err := s.at(binary.LittleEndian.Uint64(newest[26:]), 12)
	if err != nil {
		return err
	}
	s.logged = binary.LittleEndian.Uint32(log) == logSignature && binary.LittleEndian.Uint32(log[8:]) > 0
	return nil
}

// sumFits compares a header's checksum.
func sumFits(h []byte) bool {
	plain := bytes.Clone(h)
	clear(plain[4:8])
	return crc32.ChecksumIEEE(plain) == binary.LittleEndian.Uint32(h[4:])
}

func sequenceOf(h []byte) uint16 { return binary.LittleEndian.Uint16(h[8:]) }

// objects reads a table of objects, and those that it refers to.
func (s *storage) objects(offset uint64, seen map[uint64]bool) error {
	if seen[offset] {
		return errors.New("its tables refer to each other in a circle")
	}
	seen[offset] = true
	head, err := s.at(offset, 8)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(head) != tableSignature {
		return fmt.Errorf("there is no table of objects at %#x", offset)
	}
	list, err := s.at(offset+8, uint64(binary.LittleEndian.Uint32(head[4:]))*objectLength)
	if err != nil {
		return err
	}
	for ; len(list) > 0; list = list[objectLength:] {
		if list[17] == 0 {
			continue
		}
		at, length := binary.LittleEndian.Uint64(list[5:]), binary.LittleEndian.Uint32(list[13:])
		switch list[0] {
		case objectTable:
			err = s.objects(at, seen)
		case objectKeys:
			err = s.keys(at, uint64(length))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keys takes a table of keys in, unless there is a newer one of its number.
func (s *storage) keys(offset, length uint64) error {
	data, err := s.at(offset, length)
	if err != nil {
		return err
	}
	if length < keysLength || binary.LittleEndian.Uint16(data) != keysSignature {
		return fmt.Errorf("there is no table of keys at %#x", offset)
	}
	number, sequence := binary.LittleEndian.Uint16(data[2:]), binary.LittleEndian.Uint16(data[4:])
	if old, found := s.tables[number]; !found || old.sequence < sequence {
		s.tables[number] = keyTable{sequence, data}
	}
	return nil
}

// tree puts the entries of all tables below each other.
func (s *storage) tree() (*node, error) {
	root := &node{}
	nodes, above := map[keyRef]*node{}, map[keyRef]keyRef{}
	var order []keyRef
	for _, number := range slices.Sorted(maps.Keys(s.tables)) {
		table := s.tables[number]
		for offset := uint32(keysLength); int(offset)+entryLength <= len(table.data); {
			e, err := s.entry(table.data[offset:])
			if err != nil {
				return nil, fmt.Errorf("table %d at %#x: %w", number, offset, err)
			}
			if e.length == 0 {
				break
			}
			if e.node != nil {
				at := keyRef{number, offset}
				nodes[at], above[at] = e.node, e.above
				order = append(order, at)
			}
			offset += e.length
		}
		if len(order) > maxKeys {
			return nil, fmt.Errorf("it has more than %d keys", maxKeys)
		}
	}
	return root, link(root, nodes, above, order)
}

// link makes each node a child of that above it.
func link(root *node, nodes map[keyRef]*node, above map[keyRef]keyRef, order []keyRef) error {
	for _, at := range order {
		parent := root
		for up, depth := above[at], 0; up.table != 0; up, depth = above[up], depth+1 {
			if depth > maxDepth {
				return errors.New("its keys are below each other deeper than there can be, or in a circle")
			}
			if nodes[up] == nil {
				return fmt.Errorf("the key %q is below one that there is not", nodes[at].name)
			}
		}
		if up := above[at]; up.table != 0 {
			parent = nodes[up]
		}
		parent.children = append(parent.children, nodes[at])
	}
	return nil
}

// entry is an entry of a table: a key, or nothing but its length.
type entry struct {
	length uint32
	above  keyRef
	node   *node
}

func (s *storage) entry(data []byte) (entry, error) {
	e := entry{
		length: binary.LittleEndian.Uint32(data[2:]),
		above:  keyRef{binary.LittleEndian.Uint16(data[6:]), binary.LittleEndian.Uint32(data[8:])},
	}
	kind, flags, valueAt := data[0], data[1], int(data[20])
	if e.length == 0 {
		return e, nil
	}
	if e.length < entryLength || uint64(e.length) > uint64(len(data)) {
		return e, errCut
	}
	if kind == typeFree {
		return e, nil
	}
	if valueAt < 1 || entryLength+valueAt > int(e.length) {
		return e, errCut
	}
	body := data[entryLength:e.length]
	e.node = &node{name: string(bytes.TrimRight(body[:valueAt], "\x00"))}
	if kind == typeNode {
		return e, nil
	}
	value, err := s.value(kind, flags, body[valueAt:])
	e.node.value = value
	if err != nil {
		err = fmt.Errorf("key %q: %w", e.node.name, err)
	}
	return e, err
}

// value puts a value into words.
func (s *storage) value(kind, flags byte, data []byte) (string, error) {
	if kind == typeString || kind == typeBytes {
		content, err := s.content(flags, data)
		if err != nil || kind == typeBytes {
			return base64.StdEncoding.EncodeToString(content), err
		}
		text, err := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewDecoder().Bytes(content)
		return string(bytes.TrimRight(text, "\x00")), err
	}
	if kind == typeBool {
		if len(data) < 4 {
			return "", errCut
		}
		return strconv.FormatBool(binary.LittleEndian.Uint32(data) != 0), nil
	}
	if len(data) < 8 {
		return "", errCut
	}
	bits := binary.LittleEndian.Uint64(data)
	switch kind {
	case typeInt:
		return strconv.FormatInt(int64(bits), 10), nil
	case typeUint:
		return strconv.FormatUint(bits, 10), nil
	case typeDouble:
		return strconv.FormatFloat(math.Float64frombits(bits), 'g', -1, 64), nil
	}
	return "", fmt.Errorf("its type %d is unknown", kind)
}

// content is a value of any length: here, or in an object that this refers to.
func (s *storage) content(flags byte, data []byte) ([]byte, error) {
	if len(data) < 4 {
		return nil, errCut
	}
	length := binary.LittleEndian.Uint32(data)
	if flags&flagObject == 0 {
		if uint64(length) > uint64(len(data)-4) {
			return nil, errCut
		}
		return data[4 : 4+length], nil
	}
	if len(data) < 12 {
		return nil, errCut
	}
	return s.at(binary.LittleEndian.Uint64(data[4:]), uint64(length))
}
