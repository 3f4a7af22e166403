package envelope

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/api"
)

// byTheStandard are fields that OVF, or VMware's elements, say.
var byTheStandard = []string{
	"name", "description", "cpu.count", "memory.size", "controllers.type", "drives.controller", "drives.port", "drives.kind", "drives.size", "adapters.model", "adapters.mac",
	"adapters.network", "adapters.networkName", "boot.order",
}

// inOwnWords are those that our section says by other means than [ownKeys].
var inOwnWords = []string{
	"labels", "architecture", "machineType", "adapters.forwards.protocol", "adapters.forwards.hostAddress", "adapters.forwards.hostPort", "adapters.forwards.guestPort",
}

// notExported are fields that stay behind, and why.
var notExported = map[string]string{
	"uuid":      "two machines must not have one UUID",
	"autostart": "whether and when it starts with its host is for the new host to say",
	"snapshots": "when snapshots are taken is for the new host to say",
	"template":  "a template is exported as the machine that it is a model of",
	"kernel":    "the kernel is a file of the host's", "environment": "it goes as the properties of the product",
	"cpu.pin": "CPUs are the host's", "cpu.pinEmulator": "CPUs are the host's", "cpu.pinIOThreads": "CPUs are the host's", "cpu.nodes": "nodes are the host's",
	"memory.pageSize": "whether there are huge pages is the host's", "memory.locked": "how much may be locked is the host's",
	"memory.nodes": "nodes are the host's", "memory.placement": "nodes are the host's",
	"memory.balloon": "it was taken by hand, for a while", "controllers.hardware": "the daemon says it",
	"drives.mode": "where the content lies is for who imports it to say", "drives.writeMode": "what becomes of what is written is for who imports it to say", "drives.autoReset": "it goes with the write mode",
	"drives.source": "the content itself is exported", "drives.format": "it is that of the export", "drives.snapshot": "the content itself is exported", "drives.file": "the daemon says it", "drives.under": "the content itself is exported",
	"drives.secretFile": "it is a file of the host's", "drives.instanceID": "who imports it is another machine", "drives.encrypted": "what is exported is plain, or encrypted as a package", "drives.passphraseFile": "it is a file of the host's", "drives.keyCommand": "it is a command for the host",
}

// TestEveryFieldOfASpecHasItsPlace fails for a field that an export neither says nor leaves
// behind for a reason.
func TestEveryFieldOfASpecHasItsPlace(t *testing.T) {
	known := slices.Concat(byTheStandard, inOwnWords, ownKeys)
	for list, keys := range ownKeysOf {
		for _, key := range keys {
			known = append(known, list+"."+key)
		}
	}
	paths := leaves(reflect.TypeOf(api.Spec{}), "")
	for _, path := range paths {
		left := slices.ContainsFunc(known, func(k string) bool { return k == path })
		for prefix := range notExported {
			left = left || path == prefix || strings.HasPrefix(path, prefix+".")
		}
		if !left {
			t.Errorf("%s is lost when a machine is exported, and nothing says why", path)
		}
	}
	for _, key := range known {
		if !slices.Contains(paths, key) {
			t.Errorf("there is no %s", key)
		}
	}
	if len(paths) < 80 {
		t.Errorf("there are only %d fields", len(paths))
	}
}

// leaves lists the fields of a type by the paths of their JSON names.
func leaves(of reflect.Type, at string) []string {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return []string{at}
	}
	var paths []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		paths = append(paths, leaves(of.Field(i).Type, strings.TrimPrefix(at+"."+name, "."))...)
	}
	return paths
}
