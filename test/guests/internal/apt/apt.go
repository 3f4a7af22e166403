// Package apt downloads Debian packages, of any release and architecture, through apt with a configuration of its own:
// the host's list of packages, its architectures and what is installed on it stay as they are. What the host's apt
// says about how to download (a proxy, say) is kept, and so is its mirror if the host itself runs Debian.
package apt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// Keyring is what signatures of Debian's archive are verified with; Debian's and Ubuntu's package
// debian-archive-keyring bring it.
const Keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// Release is a release of Debian.
type Release string

// The releases the guests are made from.
const (
	Bookworm Release = "bookworm"
	Trixie   Release = "trixie"
)

// defaultMirror is what a host that does not run Debian takes packages from.
const defaultMirror = "http://deb.debian.org/debian"

// Mirror is the URL of an archive of Debian's.
type Mirror string

// HostMirror returns the mirror the host's apt has for Debian, or else the well-known one.
func HostMirror(ctx context.Context) Mirror {
	out, err := exec.CommandContext(ctx, "apt-get", "indextargets",
		"--format", "$(REPO_URI) $(ORIGIN) $(LABEL)", "Created-By: Packages").Output()
	if err != nil {
		return defaultMirror
	}
	for line := range strings.Lines(string(out)) {
		if url, ok := strings.CutSuffix(strings.TrimSpace(line), " Debian Debian"); ok {
			return Mirror(strings.TrimSuffix(url, "/"))
		}
	}
	return defaultMirror
}

// Source returns the line of a sources.list for a release. It leaves the updates out: guests for tests do not need
// them, and a guest that changes less often is built less often.
func (m Mirror) Source(release Release) string {
	return fmt.Sprintf("deb [signed-by=%s] %s %s main", Keyring, m, release)
}

// Root is a directory with apt's lists of one release and architecture.
type Root struct {
	dir  string
	arch string // Debian's name of it
}

// NewRoot fetches the lists of a release into dir. The architecture is Debian's name of it, as arm64.
func NewRoot(ctx context.Context, dir string, mirror Mirror, release Release, arch string) (*Root, error) {
	if _, err := os.Stat(Keyring); err != nil {
		return nil, fmt.Errorf("fetch lists of Debian's packages: %w: install the package debian-archive-keyring", err)
	}
	root := &Root{dir: dir, arch: arch}
	for _, sub := range []string{"state/lists/partial", "cache/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("make a directory for apt: %w", err)
		}
	}
	sources := mirror.Source(release) + "\n"
	for name, content := range map[string]string{"status": "", "sources.list": sources} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, fmt.Errorf("set up apt: %w", err)
		}
	}
	_, err := root.run(ctx, "apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any")
	if err != nil {
		return nil, fmt.Errorf("fetch lists of Debian's packages (%s %s): %w", release, arch, err)
	}
	return root, nil
}

// Package is one version of a package.
type Package struct {
	Name    string
	Version string
}

// String is the form in which apt takes and prints it.
func (p Package) String() string { return p.Name + "=" + p.Version }

// ErrNoPackage is returned when the release has no such package for the architecture.
var ErrNoPackage = errors.New("no such package")

// Candidate returns the newest version of a package.
func (r *Root) Candidate(ctx context.Context, name string) (Package, error) {
	fields, err := r.show(ctx, name)
	if err != nil {
		return Package{}, err
	}
	return Package{Name: name, Version: fields["Version"]}, nil
}

var dependency = regexp.MustCompile(`^(\S+) \(= ([^)]+)\)`)

// Stands returns the package that an empty package like linux-image-amd64 stands for: its first dependency.
func (r *Root) Stands(ctx context.Context, name string) (Package, error) {
	fields, err := r.show(ctx, name)
	if err != nil {
		return Package{}, err
	}
	match := dependency.FindStringSubmatch(fields["Depends"])
	if match == nil {
		return Package{}, fmt.Errorf("look up package %s: it depends on %q, not on one version of a package",
			name, fields["Depends"])
	}
	return Package{Name: match[1], Version: match[2]}, nil
}

// show returns the fields of the newest version of a package.
func (r *Root) show(ctx context.Context, name string) (map[string]string, error) {
	out, err := r.run(ctx, "apt-cache", "show", "--no-all-versions", name)
	if err != nil {
		return nil, fmt.Errorf("look up package %s for %s: %w: %w", name, r.arch, ErrNoPackage, err)
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(line, ": "); ok {
			fields[key] = strings.TrimSpace(value)
		}
	}
	return fields, nil
}

// Unpack downloads a package and unpacks its files into the directory to.
func (r *Root) Unpack(ctx context.Context, p Package, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return fmt.Errorf("unpack package %s: %w", p, err)
	}
	download, err := os.MkdirTemp(r.dir, "download-*")
	if err != nil {
		return fmt.Errorf("download package %s: %w", p, err)
	}
	defer os.RemoveAll(download)
	cmd := r.command(ctx, "apt-get", "download", "-qq", p.String())
	cmd.Dir = download
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("download package %s: %w", p, err)
	}
	files, _ := filepath.Glob(filepath.Join(download, "*.deb"))
	if len(files) != 1 {
		return fmt.Errorf("download package %s: %d files instead of one", p, len(files))
	}
	if _, err := output(exec.CommandContext(ctx, "dpkg-deb", "--extract", files[0], to)); err != nil {
		return fmt.Errorf("unpack package %s: %w", p, err)
	}
	return nil
}

func (r *Root) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	return output(r.command(ctx, program, args...))
}

// command is one of apt's programs with this root's configuration.
func (r *Root) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	options := []string{
		"APT::Architecture=" + r.arch,
		"APT::Architectures=" + r.arch,
		"APT::Sandbox::User=",
		"Dir::State=" + filepath.Join(r.dir, "state"),
		"Dir::State::status=" + filepath.Join(r.dir, "status"),
		"Dir::Cache=" + filepath.Join(r.dir, "cache"),
		"Dir::Etc::sourcelist=" + filepath.Join(r.dir, "sources.list"),
		"Dir::Etc::sourceparts=/dev/null",
		"Acquire::Languages=none",
		"Acquire::Retries=3",
		// A desktop's additional lists, as large as the packages'.
		"Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"Acquire::IndexTargets::deb::CNF::DefaultEnabled=false",
	}
	var all []string
	for _, option := range options {
		all = append(all, "-o", option)
	}
	cmd := exec.CommandContext(ctx, program, append(all, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	return cmd
}

// output runs a program; its error says what the program wrote on its error output.
func output(cmd *exec.Cmd) ([]byte, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", cmd.Args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
