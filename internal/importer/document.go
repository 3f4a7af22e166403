package importer

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/libvirt"
	"github.com/panalvm/panal/internal/appliance/pvs"
	"github.com/panalvm/panal/internal/appliance/vbox"
)

// isXML tells whether a file begins as a document does. VirtualBox's disks begin
// with "<<<".
func isXML(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	start := make([]byte, 64)
	n, _ := io.ReadFull(file, start) // a short file is none either
	text := bytes.TrimLeft(start[:n], "\ufeff \t\r\n")
	return bytes.HasPrefix(text, []byte("<?xml")) || bytes.HasPrefix(text, []byte("<domain"))
}

// document reads a description by its outermost element, whatever its file is
// called.
func (s *Source) document(choices appliance.Choices) error {
	files, err := s.folder()
	if err != nil {
		return err
	}
	data, err := appliance.ReadDescription(files, filepath.Base(s.path))
	if err != nil {
		return err
	}
	root, err := appliance.RootElement(data)
	if err != nil {
		return err
	}
	switch root {
	case "domain":
		return s.beside(libvirt.Read)(choices)
	case "Envelope":
		return s.envelope(choices)
	case "VirtualBox":
		return s.beside(vbox.Read)(choices)
	case "ParallelsVirtualMachine":
		return s.beside(pvs.Read)(choices)
	case "configuration":
		return s.hyperv(choices)
	case "Parallels_disk_image":
		return s.bareDisk()
	}
	return fmt.Errorf("its outermost element is <%s>, which describes no machine that is known here: <domain> of libvirt and <Envelope> of OVF do", root)
}
