package corpus_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/diskfile"
)

// target is a kind of image that disks are converted to.
type target struct {
	name     string // of the subtest
	format   string // as for diskfile.Make
	file     string // the image's file name
	options  map[string]string
	compress bool
	qemu     string // what qemu-img calls it; "" if it does not know the kind
	part     string // the file that qemu-img opens, if it is another
}

// variants are all kinds of images that can be made.
func variants() []target {
	var all []target
	for _, f := range formats.All() {
		for _, v := range f.Variants {
			if v.Create && v.Name != "differencing" {
				all = append(all, plainTarget(f, v))
			}
		}
	}
	return all
}

// layouts are the options that lay a file out differently.
func layouts() []target {
	var all []target
	for _, f := range formats.All() {
		all = append(all, specialTargets(f.Name)...)
	}
	return all
}

// targets are the variants and the layouts.
func targets() []target { return append(variants(), layouts()...) }

func plainTarget(f *disk.Format, v disk.Variant) target {
	t := target{name: f.Name, format: f.Name, file: "disk." + f.Extensions[0], qemu: qemuName(f.Name)}
	if v.Name != "" {
		t.name, t.format = f.Name+"-"+v.Name, f.Name+":"+v.Name
	}
	switch t.format {
	case "raw:split":
		t.file, t.qemu, t.options = "disk.000", "", map[string]string{"split": "3M"}
	case "parallels:plain":
		t.qemu = "raw"
	case "vmdk:vmfs":
		t.part, t.qemu = "disk-flat.vmdk", "raw"
	}
	return t
}

// specialTargets are further layouts of a format.
func specialTargets(format string) []target {
	special := func(name string, t target) target {
		t.name = format + "-" + name
		t.qemu = qemuName(format)
		if t.format == "" {
			t.format = format
		}
		if t.file == "" {
			t.file = "disk." + format
		}
		return t
	}
	set := func(options ...string) map[string]string {
		m := map[string]string{}
		for _, o := range options {
			key, value, _ := strings.Cut(o, "=")
			m[key] = value
		}
		return m
	}
	switch format {
	case "qcow2":
		return []target{
			special("zlib", target{compress: true}),
			special("zstd", target{options: set("compression=zstd")}),
			special("4K-clusters", target{options: set("clusterSize=4K")}),
			special("extended-L2", target{options: set("extendedL2=on")}),
			special("v2", target{options: set("compat=v2")}),
		}
	case "vmdk":
		return []target{special("zeroed-grains", target{options: set("zeroedGrain=on")})}
	case "vhd":
		return []target{special("512K-blocks", target{options: set("blockSize=512K")})}
	case "vhdx":
		return []target{special("1M-blocks", target{options: set("blockSize=1M")})}
	case "parallels":
		bundle := special("bundle", target{file: "disk.hdd", options: set("bundle=on", "split=4M")})
		bundle.qemu = ""
		return []target{special("classic", target{file: "disk.hds", options: set("layout=classic")}), bundle}
	}
	return nil
}

func qemuName(format string) string {
	if format == "vhd" {
		return "vpc"
	}
	return format
}

// make converts src, and gives the image's path. It tells false if the target
// cannot hold such a disk.
func (t target) make(tb testing.TB, dir string, src disk.Image) (string, bool) {
	tb.Helper()
	path := filepath.Join(dir, t.file)
	m := diskfile.Make{Format: t.format, Options: t.options, Compress: t.compress}
	_, err := diskfile.Place{}.Convert(context.Background(), src, path, m, nil, nil)
	if errors.Is(err, errors.ErrUnsupported) || isUsage(err) {
		tb.Logf("%s: %v", t.name, err)
		return "", false
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path, true
}

func isUsage(err error) bool {
	_, is := errors.AsType[*disk.UsageError](err)
	return is
}

// workDir is a directory for images: in memory where there is such a place,
// because each image that is made waits for the disk several times.
func workDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "panal-corpus-")
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// open opens an image that was made: what shows no signature by its name.
func (t target) open(tb testing.TB, path string) disk.Image {
	tb.Helper()
	o := diskfile.OpenOptions{}
	if t.format == "parallels:plain" || strings.HasPrefix(t.format, "raw:") {
		o.Format, _, _ = strings.Cut(t.format, ":")
	}
	img, err := diskfile.Place{}.Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := img.Close(); err != nil {
			tb.Error(err)
		}
	})
	return img
}

// mustBeSame fails the test when two disks differ.
func mustBeSame(tb testing.TB, have, want disk.Image) {
	tb.Helper()
	d, err := disk.Compare(context.Background(), have, want, disk.CopyOptions{})
	if err != nil {
		tb.Error(err)
	} else if !d.Same {
		tb.Errorf("the content differs, first at %#x", d.Offset)
	}
}

// mustCheck fails the test when a check of an image finds worse than what is
// allowed.
func mustCheck(tb testing.TB, img disk.Image, allowed disk.Severity) {
	tb.Helper()
	report, err := disk.Check(context.Background(), img)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		tb.Error(err)
	} else if worst, _ := report.Worst(); worst > allowed {
		tb.Errorf("the check finds %+v", report.Findings)
	}
}

// qemuSame lets qemu-img compare an image that was made with a raw file.
func (t target) qemuSame(tb testing.TB, qemuImg, path, raw string) {
	tb.Helper()
	if t.qemu == "" {
		return
	}
	if t.part != "" {
		path = filepath.Join(filepath.Dir(path), t.part)
	}
	out, err := exec.Command(qemuImg, "compare", "-f", t.qemu, "-F", "raw", path, raw).CombinedOutput()
	if err != nil {
		tb.Errorf("qemu-img compare: %v: %s", err, out)
	}
}

// slowInQEMU tells whether qemu-img would read every byte of such an image,
// because its driver does not know what is zero.
func (t target) slowInQEMU(size int64) bool {
	return t.qemu == "vhdx" && size > 256<<20
}

// tooLarge tells whether a disk goes through this kind of image in thorough tests only: two are read byte by byte
// here, whatever is in them. Smaller ones, empty as the large are, show the same.
func (t target) tooLarge(size int64) bool {
	return (t.format == "qcow" || t.format == "vhdx:fixed") && size > 16<<30 && !disktest.Thorough()
}
