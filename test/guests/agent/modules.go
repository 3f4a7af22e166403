//go:build linux

package main

import (
	"errors"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"
)

// loader loads kernel modules, as modprobe does. It reads the indexes once: with the processor emulated, a process of
// modprobe for each device would take longer than all the rest of the start.
type loader struct {
	dir     string
	depends map[string][]string // module to those it needs, nearest first
	aliases map[string][]alias  // by the bus, the part before the colon

	// mu guards loaded, and makes one module after another.
	mu sync.Mutex
	// loaded are the modules that are loaded or have been tried.
	loaded map[string]bool
}

// alias says which module serves the devices that match a pattern.
type alias struct {
	pattern string
	module  string
}

// newLoader reads the indexes in dir.
func newLoader(dir string) (*loader, error) {
	l := &loader{dir: dir, depends: map[string][]string{}, aliases: map[string][]alias{}, loaded: map[string]bool{}}
	dep, err1 := os.ReadFile(filepath.Join(dir, "modules.dep"))
	als, err2 := os.ReadFile(filepath.Join(dir, "modules.alias"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(dep)) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		for _, need := range strings.Fields(needs) {
			l.depends[bare(file)] = append(l.depends[bare(file)], bare(need))
		}
	}
	for line := range strings.Lines(string(als)) {
		if words := strings.Fields(line); len(words) == 3 {
			bus, _, _ := strings.Cut(words[1], ":")
			l.aliases[bus] = append(l.aliases[bus], alias{words[1], words[2]})
		}
	}
	return l, nil
}

func bare(file string) string { return strings.TrimSuffix(file, ".ko") }

// load loads a module and what it needs.
func (l *loader) load(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	needs := l.depends[name]
	for i := len(needs) - 1; i >= 0; i-- {
		l.insert(needs[i])
	}
	l.insert(name)
}

// insert gives one module to the kernel, unless it has been before. The caller holds mu.
func (l *loader) insert(name string) {
	if l.loaded[name] {
		return
	}
	l.loaded[name] = true
	content, err := os.ReadFile(filepath.Join(l.dir, name+".ko"))
	if err != nil {
		log.Print(err)
		return
	}
	parameters := []byte{0}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, uintptr(unsafe.Pointer(&content[0])),
		uintptr(len(content)), uintptr(unsafe.Pointer(&parameters[0])))
	if errno != 0 && errno != syscall.EEXIST {
		log.Printf("load module %s: %v", name, errno)
	}
}

// serve loads the modules for a device that describes itself so.
func (l *loader) serve(modalias string) {
	bus, _, _ := strings.Cut(modalias, ":")
	for _, a := range l.aliases[bus] {
		if matches(a.pattern, modalias) {
			l.load(a.module)
		}
	}
}

// existing loads the modules for all devices there are, and for those that appear thereby.
func (l *loader) existing() {
	seen := map[string]bool{}
	for found := true; found; {
		found = false
		for _, device := range devices() {
			if !seen[device] {
				seen[device], found = true, true
				l.serve(readTrimmed(filepath.Join(device, "modalias")))
			}
		}
	}
}

// devices lists those that are there, by the buses they are on. With the processor emulated, to look through the tree of
// everything for those that describe themselves takes longer than to load all modules.
func devices() []string {
	var all []string
	buses, _ := os.ReadDir("/sys/bus")
	for _, bus := range buses {
		dir := filepath.Join("/sys/bus", bus.Name(), "devices")
		names, _ := os.ReadDir(dir)
		for _, name := range names {
			all = append(all, filepath.Join(dir, name.Name()))
		}
	}
	return all
}

// matches is fnmatch(3) for the patterns of modules: * and ? and sets like [2-5].
func matches(pattern, text string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			for i := len(text); i >= 0; i-- {
				if matches(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		case '[':
			set, rest, _ := strings.Cut(pattern[1:], "]")
			if text == "" || !inSet(set, text[0]) {
				return false
			}
			pattern, text = rest, text[1:]
		default:
			if text == "" || pattern[0] != '?' && pattern[0] != text[0] {
				return false
			}
			pattern, text = pattern[1:], text[1:]
		}
	}
	return text == ""
}

func inSet(set string, c byte) bool {
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' {
			if set[i] <= c && c <= set[i+2] {
				return true
			}
			i += 2
		} else if set[i] == c {
			return true
		}
	}
	return false
}
