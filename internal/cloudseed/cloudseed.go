// Package cloudseed reads and makes the discs by which cloud-init is told what a machine is to be: seeds of its data
// sources NoCloud and ConfigDrive.
//
//	volume "cidata": ISO 9660, or FAT
//	├── meta-data        instance-id: iid-web01        another one: host keys are made anew
//	├── user-data
//	└── …                vendor-data, network-config
//
//	volume "config-2": ISO 9660, or FAT; what OpenStack gives its instances
//	└── openstack/
//	    └── latest/, 2015-10-15/, …
//	        ├── meta_data.json   {"uuid": "…", …}, which is the instance-id
//	        └── user_data, network_data.json, …
//
// cloud-init does once what it does for each instance-id that it has not seen, as making host keys for SSH. So a copy of a
// machine that reads the original's disc keeps the original's keys, and one that reads another
// instance-id makes its own.
//
// A disc may come from anywhere: it is bounded, and what its reader cannot cope with is no seed.
package cloudseed

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/diskfs/go-diskfs/backend"
	"github.com/diskfs/go-diskfs/backend/file"
	"github.com/diskfs/go-diskfs/filesystem"
	"github.com/diskfs/go-diskfs/filesystem/fat12"
	"github.com/diskfs/go-diskfs/filesystem/fat16"
	"github.com/diskfs/go-diskfs/filesystem/fat32"
	"github.com/diskfs/go-diskfs/filesystem/iso9660"

	"github.com/panalvm/panal/internal/optical"
)

const (
	noCloud     = "cidata"
	metaData    = "meta-data"
	configDrive = "config-2"
	latest      = "openstack/latest/meta_data.json"

	maxDisc  = 64 << 20 // a larger disc holds more than a seed
	maxFile  = 4 << 20
	maxFiles = 64
)

// Seed is what a disc says.
type Seed struct {
	label string            // the volume's: noCloud or configDrive
	files map[string][]byte // by their paths on the disc
}

// Read reads a disc; nil if it is no seed.
func Read(name string) (seed *Seed, err error) {
	disc, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer disc.Close()
	info, err := disc.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxDisc {
		return nil, err
	}
	defer func() {
		if recover() != nil { // the library's readers trust what they read
			seed, err = nil, nil
		}
	}()
	for _, open := range readers {
		volume, err := open(file.New(disc, true), info.Size())
		if err != nil {
			continue
		}
		found := &Seed{label: strings.ToLower(strings.TrimRight(volume.Label(), " \x00")), files: map[string][]byte{}}
		if found.label != noCloud && found.label != configDrive {
			continue
		}
		if err := found.take(volume, "."); err != nil {
			return nil, nil //nolint:nilerr // a disc that cannot be read tells a guest nothing either
		}
		if found.label == noCloud && found.files[metaData] != nil || found.label == configDrive && found.files[latest] != nil {
			return found, nil
		}
	}
	return nil, nil
}

// readers are the file systems that cloud-init takes.
var readers = []func(backend.Storage, int64) (filesystem.FileSystem, error){
	func(b backend.Storage, size int64) (filesystem.FileSystem, error) { return iso9660.Read(b, size, 0, 0) },
	func(b backend.Storage, size int64) (filesystem.FileSystem, error) { return fat12.Read(b, size, 0, 0) },
	func(b backend.Storage, size int64) (filesystem.FileSystem, error) { return fat16.Read(b, size, 0, 0) },
	func(b backend.Storage, size int64) (filesystem.FileSystem, error) { return fat32.Read(b, size, 0, 0) },
}

// take takes in a directory.
func (s *Seed) take(volume filesystem.FileSystem, dir string) error {
	entries, err := volume.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := path.Join(dir, entry.Name())
		if entry.Name() == "." || entry.Name() == ".." || !filepath.IsLocal(name) {
			continue
		}
		if entry.IsDir() {
			if strings.Count(name, "/") > 4 {
				return errors.New("its directories are too deep")
			}
			if err := s.take(volume, name); err != nil {
				return err
			}
			continue
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Size() > maxFile || len(s.files) >= maxFiles {
			return errors.New("it holds more than a seed does")
		}
		content, err := volume.ReadFile(name)
		if err != nil {
			return err
		}
		s.files[name] = content
	}
	return nil
}

// instanceLine is where meta-data in YAML says which instance it is.
var instanceLine = regexp.MustCompile(`(?m)^instance-id[ \t]*:.*$`)

// SetInstance makes the seed that of another instance.
func (s *Seed) SetInstance(id string) error {
	if s.label == configDrive {
		return s.setUUIDs(id)
	}
	text := s.files[metaData]
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("{")) {
		return s.setField(metaData, "instance-id", id)
	}
	line := []byte("instance-id: " + id)
	if instanceLine.Match(text) {
		s.files[metaData] = instanceLine.ReplaceAllLiteral(text, line)
	} else {
		s.files[metaData] = append(append(line, '\n'), text...)
	}
	return nil
}

// setUUIDs makes a seed of the data source ConfigDrive that of another instance, in each version that it holds.
func (s *Seed) setUUIDs(id string) error {
	for name := range s.files {
		if ok, _ := path.Match("openstack/*/meta_data.json", name); !ok {
			continue
		}
		if err := s.setField(name, "uuid", id); err != nil {
			return err
		}
	}
	return nil
}

// setField changes a field of a file in JSON.
func (s *Seed) setField(name, field, value string) error {
	fields := map[string]json.RawMessage{} // so that numbers stay as they are written
	if err := json.Unmarshal(s.files[name], &fields); err != nil {
		return fmt.Errorf("the seed's %s: %w", name, err)
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		return err
	}
	fields[field] = quoted
	s.files[name], err = json.Marshal(fields)
	return err
}

// Write makes a disc of the seed, in place of a file.
func (s *Seed) Write(name string) error {
	if err := optical.Write(name, s.label, s.files); err != nil {
		return fmt.Errorf("make the disc for cloud-init: %w", err)
	}
	return nil
}
