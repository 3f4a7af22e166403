package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
)

// diskFlags are what the commands on images have in common.
type diskFlags struct {
	format   string
	allow    []string
	anywhere bool
	keys     imageKeyFlags
}

func (a *app) diskCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "disk",
		Short: "Work on disk images, of any format, without a daemon",
		Long: `Look at, make, convert, compare, check and mend disk images: raw, qcow2, vdi,
vhd, vhdx, vmdk, parallels and xva, in every variant ("panal disk formats").

A FILE may also be - for standard input, a member of an archive
(machine.ova/disk1.vmdk), the directory of a Parallels bundle, or a block device.
Its format is found by its content unless --format says it.

An image may refer to files in and below its own directory only: a parent or a
part elsewhere has to be allowed with --allow DIR. Images that a running machine
writes to are not opened.`,
		Example: `  panal disk info web.vmdk
  panal disk convert web.vmdk web.qcow2
  panal disk compare web.vmdk web.qcow2`,
		Args: a.noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, command := range []func() *cobra.Command{
		a.diskInfoCommand, a.diskCreateCommand, a.diskConvertCommand, a.diskCompareCommand,
		a.diskCheckCommand, a.diskRepairCommand, a.diskResizeCommand, a.diskCompactCommand,
		a.diskMapCommand, a.diskDumpCommand, a.diskCommitCommand, a.diskRebaseCommand,
		a.diskUUIDCommand, a.diskServeCommand, a.diskFormatsCommand,
	} {
		sub := command()
		sub.DisableFlagsInUseLine = true
		c.AddCommand(sub)
	}
	return c
}

// register adds the flags that every command on an image has.
func (f *diskFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVarP(&f.format, "format", "f", "", "the image's format; without it, the content tells")
	f.registerPlace(c)
}

func (f *diskFlags) registerPlace(c *cobra.Command) {
	flags := c.Flags()
	flags.StringArrayVar(&f.allow, "allow", nil, "a `DIR` that images may refer to, besides their own; several times")
	flags.BoolVar(&f.anywhere, "allow-anywhere", false, "let images refer to any file; for images that you trust")
	f.keys.register(c)
}

// place is where the commands look. Standard input ends with the context: a
// pipe may never.
func (a *app) place(ctx context.Context, f diskFlags) diskfile.Place {
	return diskfile.Place{Allow: f.allow, Anywhere: f.anywhere, Keys: a.imageKeys(ctx, f.keys), Stdin: interruptibleReader{ctx, a.in}}
}

// interruptibleReader reads until its context ends.
type interruptibleReader struct {
	ctx  context.Context
	from io.Reader
}

// Read reads as the reader below does. What that reads after the context's end
// is lost, and so it does not read into p itself.
func (r interruptibleReader) Read(p []byte) (int, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	buffer := make([]byte, min(len(p), 256<<10))
	go func() {
		n, err := r.from.Read(buffer)
		done <- result{buffer[:n], err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	case got := <-done:
		return copy(p, got.data), got.err
	}
}

// registerOptions adds -o.
func registerOptions(c *cobra.Command, options *[]string) {
	c.Flags().StringArrayVarP(options, "option", "o", nil, "`KEY=VALUE` of what the format offers (\"panal disk formats\"); several times")
}

// parseOptions reads what -o was given: KEY=VALUE, several with commas.
func parseOptions(given []string) (map[string]string, error) {
	options := map[string]string{}
	for _, text := range given {
		for part := range strings.SplitSeq(text, ",") {
			key, value, found := strings.Cut(part, "=")
			if !found || key == "" {
				return nil, usageError{fmt.Sprintf("-o %s: it must be KEY=VALUE", text)}
			}
			options[key] = value
		}
	}
	return options, nil
}

// progressOn shows on a terminal how far work on an image has come. ended is
// to be called when it has.
func (a *app) progressOn(verb, name string) (progress func(done, total int64), ended func()) {
	shown := a.newProgress()
	began := time.Now()
	task := api.Task{ID: verb, Kind: "disk." + verb, Name: filepath.Base(name), Created: began}
	task.Progress.Unit = "bytes"
	return func(done, total int64) {
		task.Progress.Done, task.Progress.Total = done, total
		if passed := time.Since(began).Seconds(); passed > 0 {
			task.Progress.Rate = int64(float64(done) / passed)
		}
		shown.update(task)
	}, shown.close
}

// diskFailed says what was attempted on an image when an error came, and what
// to do where that is known; nil stays nil.
func diskFailed(verb, on string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted" + consequences[verb])
	case errors.Is(err, disk.ErrOutside):
		err = fmt.Errorf("%w; --allow DIR lets it refer to files there", err)
	case errors.Is(err, disk.ErrNoParent) && !errors.Is(err, fs.ErrNotExist):
		err = fmt.Errorf("%w; --allow DIR looks for it there too", err)
	case errors.Is(err, disk.ErrLocked):
		err = fmt.Errorf("%w; give it with --passphrase-file or --key-command", err)
	case errors.Is(err, diskfile.ErrNoFormat):
		err = fmt.Errorf("%w; say that with --%s", err, map[string]string{"create": "format", "convert": "to"}[verb])
	case errors.Is(err, fs.ErrExist) && (verb == "create" || verb == "convert"):
		err = fmt.Errorf("%w; --force %s", err, whatForceDoes(err))
	}
	return imageError{failed(verb, on, onceNamed(on, err))}
}

// onceNamed leaves out of an error what it begins with: the path of the file
// that is named before it anyway.
func onceNamed(on string, err error) error {
	path, failed := filepath.Abs(on)
	if failed != nil || on == "" {
		return err
	}
	text := err.Error()
	real, failed := filepath.EvalSymlinks(path)
	if failed != nil {
		real = path
	}
	for _, path := range []string{path, real} {
		for _, named := range []string{on, path, filepath.Join(path, "DiskDescriptor.xml")} {
			for _, verb := range []string{"", "open "} {
				if rest, ok := strings.CutPrefix(text, verb+named+": "); ok {
					return shortened{rest, err}
				}
			}
		}
	}
	return err
}

// shortened is an error of which a part is told.
type shortened struct {
	text string
	error
}

// Error is that part.
func (e shortened) Error() string { return e.text }

// Unwrap is the whole error.
func (e shortened) Unwrap() error { return e.error }

// whatForceDoes is what --force does to what is in the way.
func whatForceDoes(err error) string {
	if strings.Contains(err.Error(), "block device") {
		return "writes onto it"
	}
	return "replaces a file"
}

// imageError is an error of work on images: its exit code goes by the kinds of
// errors that files and images have.
type imageError struct{ error }

// Unwrap is the error itself.
func (e imageError) Unwrap() error { return e.error }

// consequences tell what an interrupted command has left.
var consequences = map[string]string{
	"create":  "; nothing was left behind",
	"convert": "; nothing was left behind",
	"compact": "; the content is as before",
	"commit":  "; the image is as before, and its parent in part: commit it again to complete that",
	"rebase":  "; the image reads as before, and has its old parent",
}

// exactBytes is a size for people, with its exact value.
func exactBytes(n int64) string { return fmt.Sprintf("%s (%d bytes)", human(n), n) }
