package guests

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// builderVersion is part of every recipe's digest: raise it with a change of this package that changes what it builds.
// Changes of the embedded files count by themselves.
const builderVersion = 1

// files holds what goes into the guests.
//
//go:embed files
var files embed.FS

// agentSource is the source of the tiny guest's agent.
//
//go:embed agent/main.go agent/uevent.go agent/plug.go agent/button.go agent/line.go agent/commands.go
//go:embed agent/machine.go agent/memory.go agent/devices.go agent/modules.go
var agentSource embed.FS

// treeDigest is the digest of all files below dir, their names and contents.
func treeDigest(tree embed.FS, dir string, more ...string) string {
	parts := [][]byte{fmt.Appendf(nil, "builder %d", builderVersion)}
	for _, text := range more {
		parts = append(parts, []byte(text))
	}
	// Walking an embedded file system cannot fail but by a wrong dir, which the tests would find.
	err := fs.WalkDir(tree, dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := tree.ReadFile(path)
		parts = append(parts, []byte(path), content)
		return err
	})
	if err != nil {
		panic(err)
	}
	return digest(parts...)
}

// mustFile returns an embedded file.
func mustFile(name string) []byte {
	content, err := files.ReadFile("files/" + name)
	if err != nil {
		panic(err) // the name is a constant of this package
	}
	return content
}

// listed returns the lines of an embedded list, without comments.
func listed(name string) []string {
	var lines []string
	for line := range strings.Lines(string(mustFile(name))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}
