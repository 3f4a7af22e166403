package hostfs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/testenv"
)

// tree makes files with their names as content; a name with "->" is a link.
func tree(t *testing.T, names ...string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name, to, link := strings.Cut(name, "->")
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if link {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(name), 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReferencesLeadNowhereElse(t *testing.T) {
	dir := tree(t, "vm/a.vmdk", "vm/sub/b", "secret", "vm/link->../secret", "vm/inside->sub/b")
	files, err := hostfs.Beside(filepath.Join(dir, "vm/a.vmdk"))
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"sub/b": "vm/sub/b", `sub\b`: "vm/sub/b", `C:\vms\a.vmdk`: "vm/a.vmdk", `\\server\share\a.vmdk`: "vm/a.vmdk",
		filepath.Join(dir, "vm/sub/b"): "vm/sub/b", "inside": "vm/inside",
	} {
		name, err := files.Resolve(filepath.Join(dir, "vm/a.vmdk"), ref)
		if err != nil || name != filepath.Join(dir, want) {
			t.Errorf("%s leads to %s, %v", ref, name, err)
		}
		if _, err := files.Open(name, false); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	for _, ref := range []string{"../secret", "/etc/passwd", "link", "sub/../../secret"} {
		name, err := files.Resolve(filepath.Join(dir, "vm/a.vmdk"), ref)
		if err == nil {
			_, err = files.Open(name, false)
		}
		if !errors.Is(err, disk.ErrOutside) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

func TestVirtualBoxKeepsParentsAboveItsSnapshots(t *testing.T) {
	dir := tree(t, "vm/base.vdi", "vm/Snapshots/one.vdi", "vm/Snapshots/two.vdi", "other.vdi")
	files, err := hostfs.Beside(filepath.Join(dir, "vm/Snapshots/one.vdi"))
	if err != nil {
		t.Fatal(err)
	}
	found, err := files.Siblings(filepath.Join(dir, "vm/Snapshots/one.vdi"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range found {
		found[i], _ = filepath.Rel(dir, name)
	}
	if got := strings.Join(found, " "); got != "vm/Snapshots/two.vdi vm/base.vdi" {
		t.Errorf("found %s", got)
	}
}

func TestWhatIsOpenedForReadingIsNotWritten(t *testing.T) {
	dir := tree(t, "a")
	f, err := hostfs.Everywhere().Open(filepath.Join(dir, "a"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("write: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("truncate: %v", err)
	}
	if err := f.(disk.Puncher).PunchHole(0, 1); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("punch: %v", err)
	}
	if _, err := hostfs.Everywhere().Open(dir, false); err == nil {
		t.Error("a directory was opened")
	}
}

func TestHoles(t *testing.T) {
	dir := tree(t)
	made, err := hostfs.Everywhere().Create(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer made.Close()
	f := made.(*hostfs.File)
	const block = 1 << 20
	if _, err := f.WriteAt(bytes.Repeat([]byte{1}, 3*block), 4*block); err != nil {
		t.Fatal(err)
	}
	if err := disk.PunchHole(f, 5*block, block); err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]int64{{0, 4 * block, 5 * block}, {5 * block, 6 * block, 7 * block}, {7 * block, 7 * block, 7 * block}} {
		start, end, err := f.NextData(want[0])
		if err != nil || start != want[1] || end != want[2] {
			t.Errorf("behind %d data is at [%d,%d), %v", want[0], start, end, err)
		}
	}
	if taken, err := f.Allocated(); taken > 2*block+64<<10 || err != nil {
		t.Errorf("%d bytes are taken, %v", taken, err)
	}
}

func TestRangesAreCopiedByTheKernel(t *testing.T) {
	dir := tree(t, "from")
	from, err := hostfs.Everywhere().Open(filepath.Join(dir, "from"), false)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := hostfs.Everywhere().Create(filepath.Join(dir, "to"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	n, err := to.(disk.RangeCopier).CopyRange(10, from, 1, 3)
	if errors.Is(err, errors.ErrUnsupported) && n == 0 {
		if size, err := to.Size(); size != 0 || err != nil {
			t.Errorf("what was not copied left %d bytes, %v", size, err)
		}
		return // a file system that neither shares blocks nor has a server
	}
	if n != 3 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if got, _ := os.ReadFile(filepath.Join(dir, "to")); string(got) != strings.Repeat("\x00", 10)+"rom" {
		t.Errorf("got %q", got)
	}
}

func TestOneWritesOrSomeRead(t *testing.T) {
	dir := tree(t, "a")
	files, name := hostfs.Everywhere(), filepath.Join(dir, "a")
	one, err := files.Open(name, false)
	if err != nil {
		t.Fatal(err)
	}
	two, err := files.Open(name, false)
	if err != nil {
		t.Fatal("two readers:", err)
	}
	var busy *hostfs.Busy
	if _, err := files.Open(name, true); !errors.As(err, &busy) {
		t.Errorf("a writer beside readers: %v", err)
	}
	_, _ = one.Close(), two.Close()
	writer, err := files.Open(name, true)
	if err != nil {
		t.Fatal("a writer alone:", err)
	}
	if _, err := files.Open(name, false); !errors.As(err, &busy) {
		t.Errorf("a reader beside a writer: %v", err)
	}
	if f, err := (&hostfs.FS{Unlocked: true}).Open(name, false); err != nil {
		t.Errorf("a look at what is written: %v", err)
	} else {
		_ = f.Close()
	}
	_ = writer.Close()
}

func TestQEMUSeesTheLocks(t *testing.T) {
	qemuIO := testenv.Need(t, "qemu-io")
	dir := tree(t, "a")
	name := filepath.Join(dir, "a")
	if err := os.Truncate(name, 1<<20); err != nil {
		t.Fatal(err)
	}
	f, err := hostfs.Everywhere().Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(qemuIO, "-f", "raw", "-c", "read 0 512", name).CombinedOutput(); err == nil {
		t.Errorf("qemu-io opened what we write: %s", out)
	}
	_ = f.Close()
	if out, err := exec.Command(qemuIO, "-f", "raw", "-c", "write 0 512", name).CombinedOutput(); err != nil {
		t.Errorf("qemu-io: %s", out)
	}
}

func TestStagedFilesAppearAtOnce(t *testing.T) {
	dir := tree(t, "there")
	name := func(n string) string { return filepath.Join(dir, n) }
	stage := hostfs.NewStage(hostfs.Everywhere())
	for _, n := range []string{"main", "part"} {
		f, err := stage.Create(name(n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(n), 0); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("before Commit there are %v", entries)
	}
	if err := stage.Commit(false); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(name("main")); string(got) != "main" {
		t.Errorf("main holds %q", got)
	}

	stage = hostfs.NewStage(hostfs.Everywhere())
	for _, n := range []string{"there", "new"} {
		f, _ := stage.Create(name(n))
		_, _ = f.WriteAt([]byte("second"), 0)
		_ = f.Close()
	}
	if err := stage.Commit(false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over an existing file: %v", err)
	}
	if _, err := os.Stat(name("new")); err == nil {
		t.Error("half of the files appeared")
	}
	if err := stage.Commit(true); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(name("there")); string(got) != "second" {
		t.Errorf("it was not replaced: %q", got)
	}

	stage = hostfs.NewStage(hostfs.Everywhere())
	f, _ := stage.Create(name("never"))
	_ = f.Close()
	stage.Abort()
	if _, err := os.Stat(name("never")); err == nil {
		t.Error("an aborted file is there")
	}
}

func TestStagedFilesMayLieInADirectoryToBeMade(t *testing.T) {
	dir := t.TempDir()
	stage := hostfs.NewStage(hostfs.Everywhere())
	name := filepath.Join(dir, "a.hdd", "b")
	f, err := stage.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("before Commit there is %v, %v", entries, err)
	}
	if err := stage.Commit(false); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(name); err != nil || string(content) != "x" {
		t.Errorf("after it the file holds %q, %v", content, err)
	}
	if _, err := stage.Create(filepath.Join(dir, "no", "such", "c")); err == nil {
		t.Error("a file was made two directories below the last that is there")
	}
}

func TestAFileTakesAnothersPlace(t *testing.T) {
	dir := tree(t, "vm/a", "vm/b", "other/c")
	bounded, err := hostfs.Within(filepath.Join(dir, "vm"))
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, files := range []*hostfs.FS{bounded, hostfs.Everywhere()} {
		if err := os.WriteFile(at("vm/b"), []byte("vm/b"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := files.Rename(at("vm/b"), at("vm/a")); err != nil {
			t.Fatal(err)
		}
		if p, err := os.ReadFile(at("vm/a")); err != nil || string(p) != "vm/b" {
			t.Errorf("it is %q, %v", p, err)
		}
		if err := files.Rename(at("vm/b"), at("vm/a")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a file that is not there: %v", err)
		}
		if err := files.Rename(at("vm/a"), at("other/a")); err == nil {
			t.Error("a file went to another directory")
		}
		renamedThroughLink(t, files, at("vm"))
	}
	if err := bounded.Rename(at("other/c"), at("other/d")); !errors.Is(err, disk.ErrOutside) {
		t.Errorf("outside: %v", err)
	}
}

// renamedThroughLink replaces a file by the name of a link that leads to it.
func renamedThroughLink(t *testing.T, files *hostfs.FS, dir string) {
	t.Helper()
	old, link, young := filepath.Join(dir, "old"), filepath.Join(dir, "link"), filepath.Join(dir, "young")
	defer os.Remove(link)
	err := errors.Join(os.WriteFile(old, nil, 0o640), os.Chmod(old, 0o640), os.Symlink("old", link), os.WriteFile(young, []byte("young"), 0o600))
	if err := errors.Join(err, files.Rename(young, link)); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(link)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	p, err := os.ReadFile(old)
	if err != nil || string(p) != "young" {
		t.Errorf("what the link leads to is %q, %v", p, err)
	}
	if info, err = os.Stat(old); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}
