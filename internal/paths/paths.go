// Package paths says where Panal keeps its things: for root below /var/lib and
// /run, for anybody else by the XDG base directory rules. The daemon and the
// command line both ask here, and so find each other.
package paths

import (
	"fmt"
	"path/filepath"
	"strconv"
)

// MaxSocket is how long the path of a Unix socket can be on Linux: sun_path
// has 108 bytes (unix(7)), and the last one is the closing zero.
const MaxSocket = 107

// The environment variables that move things elsewhere, for a second daemon
// of the same user or for tests.
const (
	EnvData    = "PANAL_DATA"    // the data directory
	EnvRuntime = "PANAL_RUNTIME" // the runtime directory
	EnvSocket  = "PANAL_SOCKET"  // the daemon's socket
)

// Paths is where the things of one user's daemon are. All are absolute
// but Config, which can be empty.
type Paths struct {
	UID     int    // whose they are; 0 for the system's daemon
	Data    string // machines and state: kept
	Runtime string // sockets and locks: gone after a restart of the host
	Socket  string // the daemon's Unix socket
	Config  string // what an administrator writes; empty without a home directory
	Log     string // what a daemon writes that has no journal
}

// For returns the paths of the user with this UID, whose environment getenv
// reads. It looks at nothing else. A relative path in an override is an error,
// since daemon and client could take it for different places; one in an XDG
// variable is ignored, as the XDG rules want it.
func For(uid int, getenv func(string) string) (Paths, error) {
	p := Paths{UID: uid}
	home := getenv("HOME")
	if err := p.override(getenv); err != nil {
		return Paths{}, err
	}
	if uid == 0 {
		p.fill("/var/lib/panal", "/run/panal", "/etc/panal")
		return p, nil
	}
	data := xdg(getenv("XDG_DATA_HOME"), home, ".local/share")
	if data == "" && p.Data == "" {
		return Paths{}, fmt.Errorf("find the data directory: HOME is not set (set it, or set %s)", EnvData)
	}
	config := xdg(getenv("XDG_CONFIG_HOME"), home, ".config")
	p.fill(below(data), userRuntime(uid, getenv), below(config))
	return p, nil
}

// override takes the directories that the environment names outright.
func (p *Paths) override(getenv func(string) string) error {
	for name, field := range map[string]*string{EnvData: &p.Data, EnvRuntime: &p.Runtime, EnvSocket: &p.Socket} {
		value := getenv(name)
		if value == "" {
			continue
		}
		if !filepath.IsAbs(value) {
			return fmt.Errorf("%s is %q, which is not an absolute path", name, value)
		}
		*field = filepath.Clean(value)
	}
	return nil
}

// fill sets what the environment left open.
func (p *Paths) fill(data, runtime, config string) {
	if p.Data == "" {
		p.Data = data
	}
	if p.Runtime == "" {
		p.Runtime = runtime
	}
	if p.Socket == "" {
		p.Socket = filepath.Join(p.Runtime, "panal.sock")
	}
	p.Config = config
	p.Log = filepath.Join(p.Data, "daemon.log")
}

// below is Panal's own directory below a base directory, if there is one.
func below(base string) string {
	if base == "" {
		return ""
	}
	return filepath.Join(base, "panal")
}

// xdg is a base directory: the variable's value if it is absolute, else the
// fallback below the home directory, else nothing.
func xdg(value, home, fallback string) string {
	switch {
	case filepath.IsAbs(value):
		return value
	case filepath.IsAbs(home):
		return filepath.Join(home, fallback)
	}
	return ""
}

// userRuntime is the runtime directory of a user. Without a login session there
// is no XDG_RUNTIME_DIR; then it is a directory in /tmp, which Make makes
// private and refuses if it is somebody else's.
func userRuntime(uid int, getenv func(string) string) string {
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "panal")
	}
	return filepath.Join("/tmp", "panal-"+strconv.Itoa(uid))
}

// CheckSocket says what is wrong with the path of a Unix socket: it is longer
// than the kernel takes, or relative.
func CheckSocket(path string) error {
	if len(path) > MaxSocket {
		return fmt.Errorf("the socket's path %s has %d bytes, and the kernel takes at most %d (set %s to a shorter directory)",
			path, len(path), MaxSocket, EnvRuntime)
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("the socket's path %q is not absolute", path)
	}
	return nil
}
