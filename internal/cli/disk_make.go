package cli

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

func (a *app) diskCreateCommand() *cobra.Command {
	var f diskFlags
	var m diskfile.Make
	var size string
	var options []string
	var sealed diskSeal
	c := &cobra.Command{
		Use:   "create FILE --size SIZE",
		Short: "Make an empty image",
		Long: `Make an empty image, or with --parent one that holds only what will differ from
another. Without --format the name's extension decides. FILE must not exist
unless --force is given; it appears when it is complete. A Parallels bundle that is
its own parent takes a snapshot.

With --encrypt a QCOW2 image is encrypted, by LUKS. One whose parent is encrypted has the
parent's key in any case, and its passphrase is not needed to make it.`,
		Example: `  panal disk create data.vdi --size 20G
  panal disk create data.vmdk --format vmdk:twoGbMaxExtentSparse --size 20G
  panal disk create child.qcow2 --parent base.vmdk
  panal disk create base.hdd --parent base.hdd
  panal disk create fast.qcow2 --size 1T -o clusterSize=2M
  panal disk create secret.qcow2 --size 20G --encrypt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if size == "" && m.Parent == "" {
				return usageError{"say how large the disk is to be, with --size"}
			}
			var err error
			if size != "" {
				if m.Size, err = disk.ParseSize(size); err != nil {
					return diskFailed("create", args[0], err)
				}
			}
			if m.Options, err = parseOptions(options); err != nil {
				return err
			}
			if m.Passphrase, err = sealed.passphrase(cmd.Context(), a); err != nil {
				return err
			}
			m.Format = f.format
			info, err := a.place(cmd.Context(), f).Create(args[0], m)
			if err != nil {
				return diskFailed("create", args[0], err)
			}
			a.noteAllow(args[0], m.Format, m.Parent)
			return a.tellMade(args[0], info)
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.Lookup("format").Usage = "the format, FORMAT or FORMAT:VARIANT; without it, the name's extension tells"
	flags.StringVarP(&size, "size", "s", "", "how large the disk is; with --parent, as the parent unless given")
	flags.StringVar(&m.Parent, "parent", "", "the image that it is to differ from, and which must not change any more")
	flags.StringVar(&m.ParentFormat, "parent-format", "", "the parent's format; without it, the content tells")
	flags.StringVar(&m.UUID, "uuid", "", "the image's identity; without it, a random one")
	flags.BoolVar(&m.Replace, "force", false, "replace a file of that name")
	sealed.register(c)
	registerOptions(c, &options)
	return c
}

// noteAllow tells when an image cannot be opened as it is, because its parent
// lies where it may not refer to.
func (a *app) noteAllow(name, format, parent string) {
	if parent == "" {
		return
	}
	img, err := diskfile.Place{}.Open(name, diskfile.OpenOptions{Format: format, Unlocked: true})
	if err == nil {
		_ = img.Close() // was only read
		return
	}
	if errors.Is(err, disk.ErrOutside) || errors.Is(err, disk.ErrNoParent) {
		a.note("%s: its parent is not in or below its directory; to open it, say --allow %s", name, filepath.Dir(parent))
	}
}

// tellMade says what was made. Standard output is the image's when that went
// there.
func (a *app) tellMade(name string, info disk.Info) error {
	switch {
	case name == "-":
	case a.json:
		return a.printJSON(imageJSON{name, info})
	case info.Format == "": // a device, written as it is
		a.say("%s: %s", name, human(info.Size))
		if rest := info.Allocated - info.Size; rest > 0 {
			a.note("%s: what lies behind the disk, its last %d bytes, is as it was", name, rest)
		}
	default:
		a.say("%s: %s, %s", name, formatText(info), human(info.Size))
	}
	return nil
}

func (a *app) diskConvertCommand() *cobra.Command {
	var f diskFlags
	var m diskfile.Make
	var snapshot string
	var options []string
	var sealed diskSeal
	var flatten bool
	c := &cobra.Command{
		Use:   "convert SOURCE DESTINATION",
		Short: "Write the content of an image into a new one of any format",
		Long: `Write what a guest would read in SOURCE, its parents included, into a new image.
Ranges of zeros take no room there. DESTINATION may be - for standard output,
for the variants that "panal disk formats" lists with PIPE. The copy of an encrypted
image is in the clear, unless --encrypt makes it one with a key of its own. It must not exist
unless --force is given, and appears when it is complete and durable; ^C leaves
nothing. A block device always exists: it is written onto in place, with --force,
and what lies behind the disk there stays. SOURCE and its parents are never replaced.`,
		Example: `  panal disk convert web.vmdk web.qcow2
  panal disk convert web.qcow2 web.vmdk --to vmdk:streamOptimized
  panal disk convert machine.ova/disk1.vmdk /dev/sdb --to raw --force
  panal disk convert web.qcow2 small.qcow2 -o compression=zstd
  panal disk convert web.vdi - --to raw | ssh host 'cat > web.raw'
  panal disk convert web.vdi secret.qcow2 --encrypt
  panal disk convert secret.qcow2 web.raw --passphrase-file web.key`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if m.Options, err = parseOptions(options); err != nil {
				return err
			}
			if !flatten {
				return usageError{"a conversion always takes in what the parents hold; to keep a parent, create an image with --parent"}
			}
			if args[1] == "-" && isTerminal(a.out) {
				return usageError{"an image is not written to a terminal; redirect the output"}
			}
			if m.Passphrase, err = sealed.passphrase(cmd.Context(), a); err != nil {
				return err
			}
			place := a.place(cmd.Context(), f)
			var src disk.Image
			src, m.Keep, err = place.OpenChain(args[0], diskfile.OpenOptions{Format: f.format, Snapshot: snapshot})
			if err != nil {
				return diskFailed("convert", args[0], err)
			}
			defer src.Close()
			if disk.Describe(src).Guessed {
				a.note("%s: no signature was found, so it is read as raw; --from raw says that", args[0])
			}
			if hidden := disk.Describe(src).Encrypted; hidden && !sealed.encrypt {
				a.note("%s: it is encrypted, and %s will not be, without --encrypt", args[0], args[1])
			}
			progress, ended := a.progressOn("convert", args[0])
			info, err := place.Convert(cmd.Context(), src, args[1], m, a.out, progress)
			ended()
			if err != nil {
				return diskFailed("convert", fmt.Sprintf("%s to %s", args[0], args[1]), err)
			}
			return a.tellMade(args[1], info)
		},
	}
	f.registerPlace(c)
	flags := c.Flags()
	flags.StringVarP(&f.format, "from", "f", "", "the source's format; without it, the content tells")
	flags.StringVarP(&m.Format, "to", "t", "", "the new image's format, FORMAT or FORMAT:VARIANT; without it, the name's extension tells")
	flags.StringVar(&snapshot, "snapshot", "", "convert an earlier state that the image holds, by its ID or name")
	flags.BoolVar(&flatten, "flatten", true, "take in what the parents hold; it is always done")
	flags.BoolVarP(&m.Compress, "compress", "c", false, "compress the new image's blocks, as the format does unless -o compression tells otherwise")
	flags.BoolVar(&m.Replace, "force", false, "replace a file of that name, or write onto a block device")
	f.keys.content = true
	sealed.register(c)
	registerOptions(c, &options)
	return c
}
