package qemu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// FirstFD is the descriptor of the first file of an invocation: those before are standard
// input, output and error.
const FirstFD = 3

// builder collects the arguments and files of an invocation.
type builder struct {
	Launch
	args       []string
	files      []File
	lines      []string
	fromServer bool            // an image is served
	down       []string        // the adapters whose link is down
	ports      map[string]bool // the PCI Express ports that are there
	plugging   bool            // the machine runs: steps are made instead of arguments
	firstSet   int             // the number of the first set of descriptors then
	steps      []Step
	keyed      []string // the drives whose passphrases QEMU gets
	err        error    // the first; building goes on after it, to keep the code straight
}

// object is a device, block node or other object in QEMU's JSON syntax, in
// which nothing needs escaping.
type object map[string]any

// add appends an option as it is.
func (b *builder) add(option string, value ...string) {
	b.args = append(append(b.args, option), value...)
}

// addJSON appends an option whose value is a JSON object.
func (b *builder) addJSON(option string, o object) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(o); err != nil {
		b.fail(fmt.Errorf("write the argument of %s: %w", option, err))
	}
	b.add(option, strings.TrimSuffix(text.String(), "\n"))
}

// fail keeps the first error.
func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// unsupported fails because the spec asks for what is not to be had.
func (b *builder) unsupported(field, what, help string) {
	b.fail(&UnsupportedError{Field: field, What: what, Help: help})
}

// open appends a file and returns the descriptor that it will have.
func (b *builder) open(path string, access Access) int {
	b.files = append(b.files, File{Path: path, Access: access})
	return FirstFD + len(b.files) - 1
}

// node appends a block node.
func (b *builder) node(o object) {
	if b.plugging {
		b.steps = append(b.steps, Step{"blockdev-add", o})
		return
	}
	b.addJSON("-blockdev", o)
}

// object appends an object that is no device.
func (b *builder) object(o object) {
	if b.plugging {
		b.steps = append(b.steps, Step{"object-add", o})
		return
	}
	b.addJSON("-object", o)
}

// set appends a file and returns the name by which QEMU opens it: that of a
// set of descriptors with this one in it.
func (b *builder) set(path string, access Access) string {
	if b.plugging {
		b.files = append(b.files, File{Path: path, Access: access})
		return "/dev/fdset/" + strconv.Itoa(b.firstSet+len(b.files)-1)
	}
	fd := strconv.Itoa(b.open(path, access))
	b.add("-add-fd", "fd="+fd+",set="+fd)
	return "/dev/fdset/" + fd
}

// device appends a device, if QEMU has it.
func (b *builder) device(field string, o object) {
	driver := o["driver"].(string)
	if !b.Caps.HasDevice(driver) {
		b.unsupported(field, fmt.Sprintf("%s %s has no device %s", b.Caps.Binary, b.Caps.Version, driver), "")
	}
	if b.plugging {
		b.steps = append(b.steps, Step{"device_add", o})
		return
	}
	b.addJSON("-device", o)
}

// options writes QEMU's key=value syntax, in which a comma in a value is
// doubled.
func options(pairs ...string) string {
	var parts []string
	for i := 0; i+1 < len(pairs); i += 2 {
		parts = append(parts, pairs[i]+"="+strings.ReplaceAll(pairs[i+1], ",", ",,"))
	}
	return strings.Join(parts, ",")
}

func onOff(value bool) string {
	if value {
		return "on"
	}
	return "off"
}
