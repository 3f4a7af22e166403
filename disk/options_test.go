package disk_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// chosen is a format whose images cannot be made: it tells what was asked for.
func chosen(told *disk.Target) *disk.Format {
	return &disk.Format{
		Name: "vmdk",
		Variants: []disk.Variant{
			{Name: "sparse", Aliases: []string{"Standard"}, Create: true},
			{Name: "flat", Aliases: []string{"Fixed"}, Create: true},
			{Name: "splitSparse", Aliases: []string{"Split2G"}, Create: true},
			{Name: "splitFlat", Aliases: []string{"Fixed,Split2G"}, Create: true},
		},
		Options: []disk.Option{
			{Name: "compression", Aliases: []string{"compression_type"}, Kind: disk.Choice, Choices: []string{"zlib", "zstd"}, Default: "zlib"},
			{Name: "adapterType", Kind: disk.Text},
			{Name: "grainSize", Kind: disk.Bytes, Variants: []string{"sparse", "splitSparse"}},
		},
		Create: func(t *disk.Target) (disk.Image, error) {
			*told = *t
			return nil, errTold
		},
	}
}

var errTold = errors.New("told")

func TestOtherProgramsNames(t *testing.T) {
	for _, c := range []struct {
		format, options, variant string
		compression, adapter     string
	}{
		{"vmdk", "", "sparse", "zlib", ""},
		{"VMDK:standard", "", "sparse", "zlib", ""},
		{"VMDK:Split2G,Fixed", "", "splitFlat", "zlib", ""},
		{"vmdk:fixed,split2g", "", "splitFlat", "zlib", ""},
		{"VMDK:Standard,Split2G", "", "splitSparse", "zlib", ""},
		{"VMDK:Standard,Fixed", "", "flat", "zlib", ""},
		{"vmdk", "subformat=splitflat", "splitFlat", "zlib", ""},
		{"vmdk:flat", "subformat=Fixed", "flat", "zlib", ""},
		{"vmdk", "compression_type=ZSTD", "sparse", "zstd", ""},
		{"vmdk", "compression=zstd adapter_type=lsilogic", "sparse", "zstd", "lsilogic"},
	} {
		var told disk.Target
		if err := made(chosen(&told), c.format, c.options); !errors.Is(err, errTold) {
			t.Errorf("%s %s: %v", c.format, c.options, err)
			continue
		}
		if told.Variant.Name != c.variant || told.Text("compression") != c.compression || told.Text("adapterType") != c.adapter {
			t.Errorf("%s %s: %s, %s, %q", c.format, c.options, told.Variant.Name, told.Text("compression"), told.Text("adapterType"))
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ format, options, want string }{
		{"vmdk:Split2G,Stream", "", "has no variant"},
		{"vmdk", "subformat=thick", "has no variant"},
		{"vmdk:sparse", "subformat=flat", "give one of them"},
		{"vmdk", "compression=zlib compression_type=zstd", "mean the same"},
		{"vmdk", "backing_file=base", "--parent"},
		{"vmdk", "backing_fmt=raw", "--parent-format"},
		{"vmdk", "encrypt.format=luks", "not encrypted"},
		{"vmdk", "colour=red", "it has compression, adapterType, grainSize"},
		{"vmdk:flat", "grain_size=64K", "it has compression, adapterType"},
	} {
		var told disk.Target
		err := made(chosen(&told), c.format, c.options)
		var usage *disk.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v; want %q", c.format, c.options, err, c.want)
		}
	}
}

// made tries to make an image, with options as a command line has them.
func made(f *disk.Format, kind, options string) error {
	given := map[string]string{}
	for _, o := range strings.Fields(options) {
		name, value, _ := strings.Cut(o, "=")
		given[name] = value
	}
	_, err := disk.Create("image", disk.CreateOptions{FS: memfs.New(), Formats: []*disk.Format{f}, Format: kind, Size: 1 << 20, Options: given})
	return err
}
