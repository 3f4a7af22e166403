package ova_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// An appliance is written to a stream and taken from it, in one pass each.
func Example() {
	var pipe bytes.Buffer
	w, err := ova.NewWriter(&pipe, ova.WriterOptions{Name: "web"})
	if err != nil {
		log.Fatal(err)
	}
	size := int64(10)
	env := &ovf.Envelope{
		Files: []ovf.File{{ID: "file1", Href: "disk1.img", Size: &size}},
		Sections: []ovf.Section{&ovf.DiskSection{
			Head:  ovf.Head{Info: ovf.Plain("the disks")},
			Disks: []ovf.Disk{{ID: "disk1", FileRef: "file1", Capacity: "10", Format: "http://example.org/raw"}},
		}},
		Content: []ovf.Content{&ovf.VirtualSystem{ID: "web", Info: ovf.Plain("a machine")}},
	}
	if err := w.WriteEnvelope(env, ovf.Version11); err != nil {
		log.Fatal(err)
	}
	if err := w.Add("disk1.img", size, strings.NewReader("0123456789")); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	r, err := ova.NewReader(&pipe, ova.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		if m.Kind == ova.File {
			content, err := io.ReadAll(m)
			fmt.Printf("%s: %s, %v\n", m.Name, content, err)
		}
	}
	report, err := r.Verify(ova.Trust{})
	fmt.Println(report.Verified, err)
	// Output:
	// disk1.img: 0123456789, <nil>
	// [web.ovf disk1.img] <nil>
}
