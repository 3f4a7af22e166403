package cli

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/panalvm/panal/api"
)

// key is one that `panal set` takes.
type key struct {
	Path   string `json:"key"`
	Values string `json:"values"`
	About  string `json:"about,omitempty"`
}

// shortKeys are the words that the daemon takes for longer keys.
var shortKeys = []key{
	{"cpus", "number", "short for cpu.count"},
	{"memory", "size, such as 512M, or a range, such as 1G..4G", "short for memory.size, or for memory.minimum and memory.maximum"},
	{"balloon", "size, such as 512M", "short for memory.balloon"},
	{"firmware", "bios, uefi, uefi-secure", "short for firmware.type and firmware.secureBoot"},
	{"tpm", "2.0, 1.2, none", "short for tpm.version; none takes it out"},
	{"kernel", "path, none", "short for kernel.image; none boots from the drives again"},
	{"restart", "never, on-failure, always", "short for restart.policy"},
	{"autostart", "on, off", "short for autostart.enabled"},
	{"snapshots", "hourly:24,daily:7,weekly:4,monthly:12, none", "short for all of snapshots.hourly and the like"},
	{"arch", "x86_64, aarch64, riscv64", "short for architecture"},
	{"machine", "text", "short for machineType"},
	{"display", "vnc, none", "short for display.type"},
	{"video", "std, virtio, vmware, none", "short for display.video"},
}

// printKeys lists the keys of a spec.
func (a *app) printKeys() error {
	keys := append(keysOf("", reflect.TypeFor[api.Spec](), ""), shortKeys...)
	switch {
	case a.json:
		return a.printJSON(keys)
	case a.quiet:
		for _, k := range keys {
			fmt.Fprintln(a.out, k.Path)
		}
		return nil
	}
	rows := make([]table.Row, len(keys))
	for i, k := range keys {
		rows[i] = table.Row{k.Path, k.Values, k.About}
	}
	a.printTable(table.Row{"KEY", "VALUES", "MEANING"}, rows)
	return nil
}

// keysOf lists the keys below a type. They are read off the interface's own
// types, so that the list is never behind them. Those of a list are below the
// name of the one that is meant, such as drives.disk0.serial.
func keysOf(prefix string, t reflect.Type, about string) []key {
	switch {
	case t == reflect.TypeFor[api.Size]():
		return []key{{prefix, "size, such as 512M", about}}
	case t.Kind() == reflect.Pointer:
		return keysOf(prefix, t.Elem(), about)
	case t.Kind() == reflect.Map:
		return []key{{prefix + ".NAME", "text", about}}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		if _, named := t.Elem().FieldByName("Name"); !named {
			return []key{{prefix, "[tcp:|udp:][ADDRESS:]PORT:GUESTPORT, with commas between", about}}
		}
		return keysOf(prefix+".NAME", t.Elem(), about)
	case t.Kind() == reflect.Slice:
		return []key{{prefix, "names, with commas between", about}}
	case t.Kind() == reflect.Struct:
		return keysOfStruct(prefix, t)
	}
	return []key{{prefix, kindWords(t.Kind()), about}}
}

// keysOfStruct lists the keys of a struct's fields that can be written.
func keysOfStruct(prefix string, t reflect.Type) []key {
	var keys []key
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || field.Tag.Get("readOnly") == "true" {
			continue
		}
		if prefix != "" {
			name = prefix + "." + name
		}
		below := keysOf(name, field.Type, field.Tag.Get("doc"))
		if values := field.Tag.Get("enum"); values != "" && len(below) == 1 {
			below[0].Values = strings.ReplaceAll(values, ",", ", ")
		}
		keys = append(keys, below...)
	}
	return keys
}

func kindWords(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "true, false"
	case reflect.Int:
		return "number"
	}
	return "text"
}
