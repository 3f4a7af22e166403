package corpus_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/diskfile"
)

// broken are the files that cannot be read as they are, and what is said of
// them: most lack parts that the corpus does not have.
var broken = map[string]string{
	"hdd/dfvfs__hfsplus.hdd/DiskDescriptor.xml":    "no such file",
	"vmdk/vmdk-forensic__data/mono_flat.vmdk":      "mono_flat-flat.vmdk",
	"vmdk/vmdk-forensic__data/ms3-win.vmdk":        "disk-s001.vmdk",
	"vmdk/vmdk-forensic__data/tw_sparse_data.vmdk": "tw_sparse_data-s001.vmdk",
}

// wholes are the files that are parts for other programs, and for us the whole
// disk, which another file holds too.
var wholes = map[string]string{"raw/dfvfs__ext2.splitraw.000": "raw/dfvfs__ext2.raw"}

// imageFolders are the folders of the corpus that hold images.
var imageFolders = []string{"hdd", "qcow1", "qcow2", "raw", "vdi", "vhd", "vhdx", "vmdk"}

// images are the corpus' images, of formats that are known here.
func images(t *testing.T) []disktest.CorpusFile {
	t.Helper()
	var all []disktest.CorpusFile
	for _, f := range disktest.CorpusFiles(t, "") {
		if slices.Contains(imageFolders, f.Format) {
			all = append(all, f)
		}
	}
	return all
}

// TestCorpus opens each image, compares its content with what another program
// read in it, and takes it through every kind of image that can be made.
func TestCorpus(t *testing.T) {
	qemuImg, _ := exec.LookPath("qemu-img") // a second opinion, where it is there
	for _, f := range images(t) {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := disk.Find(formats.All(), folderFormat(f.Format)); err != nil {
				t.Skip(err)
			}
			img, err := diskfile.Place{}.Open(f.Path, diskfile.OpenOptions{Format: formatOf(f)})
			if want, isBroken := broken[f.Name]; isBroken {
				mustSay(t, err, want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer img.Close()
			describe(t, f, img)
			verify(t, f, img)
			mustCheck(t, img, disk.Leak) // other programs leave gaps
			roundTrips(t, qemuImg, img)
		})
	}
}

// formatOf names the format where the content cannot tell it.
func formatOf(f disktest.CorpusFile) string {
	if f.Format == "raw" || strings.HasSuffix(f.Name, "-flat.vmdk") || strings.Contains(f.Name, "-f001.vmdk") {
		return "raw"
	}
	return ""
}

// folderFormat is the format of a folder's images.
func folderFormat(folder string) string {
	if folder == "hdd" {
		return "parallels"
	}
	return folder
}

func mustSay(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is %v; it should say %q, on a line", err, want)
	}
}

// describe looks at what the image says of itself.
func describe(t *testing.T, f disktest.CorpusFile, img disk.Image) {
	t.Helper()
	info := disk.Describe(img)
	if info.Size != img.Size() {
		t.Errorf("it describes its size as %d; it is %d", info.Size, img.Size())
	}
	named, _, err := disk.Find(formats.All(), folderFormat(f.Format))
	if err == nil && formatOf(f) == "" && info.Format != named.Name {
		t.Errorf("it was taken for %s", info.Format)
	}
}

// verify compares the content with the corpus' table. The size of a VHD may
// be its geometry or its "current size"; the table knows both.
func verify(t *testing.T, f disktest.CorpusFile, img disk.Image) {
	t.Helper()
	if whole := wholes[f.Name]; whole != "" {
		mustBeSame(t, img, openRaw(t, filepath.Join(disktest.CorpusDir(t), whole)))
		return
	}
	if f.Untrusted() {
		t.Logf("not compared: %s", f.Note)
		return
	}
	compared, err := f.Verify(img)
	for _, other := range []string{f.CurrentSize, f.ReplayedLog} {
		if err == nil || other == "" {
			continue
		}
		digest, second := disktest.RawDigest(img)
		if second == nil && digest == other {
			err = nil
		}
	}
	if err != nil {
		t.Error(err)
	} else if !compared {
		t.Logf("the table has nothing to compare with")
	}
}

// roundTrips takes a disk through every kind of image.
func roundTrips(t *testing.T, qemuImg string, img disk.Image) {
	raw, ok := rawTarget.make(t, workDir(t), img)
	if !ok {
		t.Fatal("it cannot be made a raw disk")
	}
	for _, to := range variants() {
		t.Run(to.name, func(t *testing.T) {
			if to.tooLarge(img.Size()) {
				t.Skip("tried when PANAL_THOROUGH is set")
			}
			path, ok := to.make(t, workDir(t), img)
			if !ok {
				t.Skip("this kind cannot hold such a disk")
			}
			made := to.open(t, path)
			mustBeSame(t, made, img)
			mustCheck(t, made, disk.Note)
			if qemuImg != "" && !to.slowInQEMU(img.Size()) {
				to.qemuSame(t, qemuImg, path, raw)
			}
		})
	}
}

var rawTarget = target{name: "raw", format: "raw", file: "reference.img"}

// TestCorpusArchives reads the disks within appliances, in place.
func TestCorpusArchives(t *testing.T) {
	for _, f := range disktest.CorpusFiles(t, "") {
		if !strings.HasSuffix(f.Name, ".ova") {
			continue
		}
		for member := range strings.SplitSeq(f.MemberDisks, " | ") {
			name, facts, found := strings.Cut(member, "[")
			if !found {
				continue
			}
			t.Run(filepath.Base(f.Name)+"/"+name, func(t *testing.T) { readMember(t, f.Path, name, facts) })
		}
	}
}

// readMember compares an image in an archive with facts, "68096]: vmdk/streamOptimized
// vsize=4194304 raw=DIGEST".
func readMember(t *testing.T, archive, name, facts string) {
	var offset, size int64
	var kind, digest string
	if _, err := fmt.Sscanf(facts, "%d]: %s vsize=%d raw=%s", &offset, &kind, &size, &digest); err != nil {
		t.Fatalf("%q: %v", facts, err)
	}
	format, _, _ := strings.Cut(kind, "/")
	if format != "raw" {
		format = "" // to be recognised
	}
	img, err := diskfile.Place{}.Open(filepath.Join(archive, name), diskfile.OpenOptions{Format: format})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	if format == "raw" {
		size = min(size, img.Size()) // the other reader fills up the last sector
		digest = ""
	}
	f := disktest.CorpusFile{Name: name, Digest: disktest.Digest{Raw: digest, Size: size}}
	if _, err := f.Verify(img); err != nil {
		t.Error(err)
	}
	info := disk.Describe(img)
	if have := info.Format + "/" + info.Variant; format == "" && have != kind {
		t.Errorf("it is taken for %s, and is %s", have, kind)
	}
}
