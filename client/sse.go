package client

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// maxFrame is the most bytes of one server-sent event. An event holds a
// machine or a task, so this is far more than any has.
const maxFrame = 4 << 20

// errFrame is the error of a server-sent event beyond maxFrame.
var errFrame = fmt.Errorf("an event has more than %d bytes", maxFrame)

// frame is one server-sent event as the HTML standard (9.2.6, "Interpreting an
// event stream") has it, but for the event's name, which we do not use.
type frame struct {
	id    string
	hasID bool
	data  []byte        // nil when there was no data line
	retry time.Duration // 0 when there was no retry line
}

// frames reads server-sent events.
type frames struct {
	in   *bufio.Reader
	read int // bytes of the frame being read
}

func newFrames(from io.Reader) *frames {
	return &frames{in: bufio.NewReaderSize(from, 32<<10)}
}

// next reads one frame, to its empty line. A frame that the stream's end cuts
// off is dropped, as the standard wants it: err is then io.EOF. Frames that
// hold nothing, such as a comment sent to keep the connection alive, are
// skipped.
func (f *frames) next() (frame, error) {
	var current frame
	f.read = 0
	for {
		line, err := f.line()
		if err != nil {
			return frame{}, err
		}
		if len(line) > 0 {
			current.take(line)
			continue
		}
		if current.data != nil || current.hasID || current.retry > 0 {
			return current, nil
		}
		f.read = 0
	}
}

// take adds one line to the frame.
func (f *frame) take(line []byte) {
	field, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(field) {
	case "data":
		if f.data == nil {
			f.data = []byte{}
		} else {
			f.data = append(f.data, '\n')
		}
		f.data = append(f.data, value...)
	case "id":
		if !bytes.ContainsRune(value, 0) {
			f.id, f.hasID = string(value), true
		}
	case "retry":
		if milliseconds, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			f.retry = time.Duration(milliseconds) * time.Millisecond
		}
	}
}

// line reads one line without its end, which is LF or CR LF. (The standard also
// allows CR alone, which would keep us waiting for the byte after it; Panal's
// daemon never sends it.)
func (f *frames) line() ([]byte, error) {
	var line []byte
	for {
		part, err := f.in.ReadSlice('\n')
		f.read += len(part)
		if f.read > maxFrame {
			return nil, errFrame
		}
		line = append(line, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
	}
}
