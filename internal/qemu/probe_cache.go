package qemu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// cacheFormat is part of every key: a Panal that asks for more does not find
// the answers of one before.
const cacheFormat = 2

// Cache keeps in a directory what was found out about programs, so that a
// daemon need not ask again until a program changes. It may be used by
// several processes at once. A cache that cannot be read or written costs time,
// and nothing else: that is no error.
type Cache struct {
	Dir string // is made when it is not there
}

// programID tells one version of a program from another.
type programID struct {
	Format   int       `json:"format"`
	What     string    `json:"what"`
	Path     string    `json:"path"` // with links resolved
	Size     int64     `json:"size"`
	Modified time.Time `json:"modified"`
	Boot     string    `json:"boot,omitempty"` // the host's boot, for what a restart can change
	User     uint32    `json:"user,omitempty"`
}

// Capabilities is [Probe], with its answer kept until the program changes.
func (c Cache) Capabilities(ctx context.Context, binary string) (Capabilities, error) {
	id, err := identify("capabilities", binary)
	if err != nil {
		return Capabilities{}, err
	}
	var caps Capabilities
	if c.load(id, &caps) {
		caps.Binary = binary
		return caps, nil
	}
	caps, err = Probe(ctx, binary)
	if err == nil {
		c.store(id, caps)
	}
	return caps, err
}

// KVM is [ProbeKVM], with the verdict of a guest that was tried kept until the
// program changes or the host is restarted.
func (c Cache) KVM(ctx context.Context, binary string, as *syscall.Credential) Verdict {
	id, err := identify("kvm", binary)
	if err != nil {
		return Verdict{Why: err.Error()}
	}
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id.Boot = strings.TrimSpace(string(boot))
	if as != nil {
		id.User = as.Uid
	}
	var v Verdict
	if c.load(id, &v) {
		return v
	}
	v = ProbeKVM(ctx, binary, as)
	// A verdict that the caller cut short is none.
	if v.Tried && ctx.Err() == nil && id.Boot != "" {
		c.store(id, v)
	}
	return v
}

// identify tells which program a path stands for now.
func identify(what, binary string) (programID, error) {
	resolved, err := filepath.EvalSymlinks(binary)
	if err != nil {
		return programID{}, err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return programID{}, err
	}
	return programID{Format: cacheFormat, What: what, Path: resolved, Size: info.Size(), Modified: info.ModTime().UTC()}, nil
}

// entry is the content of a file of the cache.
type entry struct {
	ID    programID       `json:"id"`
	Value json.RawMessage `json:"value"`
}

// file returns the path of an entry. There is one for a program and a
// question: a new answer replaces that about the program's version before.
func (c Cache) file(id programID) string {
	sum := sha256.Sum256([]byte(id.Path))
	return filepath.Join(c.Dir, id.What+"-"+filepath.Base(id.Path)+"-"+hex.EncodeToString(sum[:4])+".json")
}

// load reads an answer, and says whether there is one.
func (c Cache) load(id programID, value any) bool {
	data, err := os.ReadFile(c.file(id))
	if err != nil {
		return false
	}
	var kept entry
	return json.Unmarshal(data, &kept) == nil && kept.ID == id && json.Unmarshal(kept.Value, value) == nil
}

// store keeps an answer, in one step, so that no reader finds half of it.
func (c Cache) store(id programID, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		return
	}
	data, err := json.MarshalIndent(entry{ID: id, Value: text}, "", "  ")
	if err != nil || os.MkdirAll(c.Dir, 0o755) != nil {
		return
	}
	temporary, err := os.CreateTemp(c.Dir, ".new-*")
	if err != nil {
		return
	}
	_, err = bytes.NewReader(data).WriteTo(temporary)
	if temporary.Close() != nil || err != nil || os.Rename(temporary.Name(), c.file(id)) != nil {
		_ = os.Remove(temporary.Name())
	}
}
