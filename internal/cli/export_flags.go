package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
)

// exportFlags are the flags of export, as they were typed.
type exportFlags struct {
	name, version, dialect, format, digest string
	licence, key, certificate              string
	properties                             []string
	propertiesFile, passphraseFile         string
	compress, encrypt, force, detach       bool
}

// exportChoices are the flags that take one of a few values.
func exportChoices() map[string][]string {
	return map[string][]string{
		"ovf": {"1.0", "1.1", "2.0"}, "for": {"generic", "virtualbox", "vmware", "xen", "qemu"}, "digest": {"sha256", "sha512", "sha1"},
		"disk-format": formats.Streamed(),
	}
}

func (f *exportFlags) register(c *cobra.Command) {
	flags := c.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.name, "name", "", "what the appliance is called; default the file's name, or the first machine's")
	flags.StringVar(&f.version, "ovf", "", "version of OVF: 1.0, 1.1 (the default) or 2.0")
	flags.StringVar(&f.dialect, "for", "", "who is to take it: generic (the default), virtualbox, vmware, xen or qemu")
	flags.StringVar(&f.format, "disk-format", "", "format of the disks, such as vhd or raw; default vmdk:streamOptimized")
	flags.StringVar(&f.digest, "digest", "", "of the manifest: sha256 (the default), sha512 or sha1")
	flags.BoolVar(&f.compress, "compress", false, "compress the disks by gzip, where their format does not by itself")
	flags.StringArrayVar(&f.properties, "property", nil, "KEY=VALUE: what can be set at the import, and its default; may be repeated")
	flags.StringVar(&f.propertiesFile, "properties-file", "", "a file with such properties, one a line")
	flags.StringVar(&f.licence, "eula", "", "a file with a licence that who imports it must agree to")
	flags.StringVar(&f.key, "sign", "", "a PEM file with the private key to sign with")
	flags.StringVar(&f.certificate, "cert", "", "a PEM file with the certificate of that key")
	flags.BoolVar(&f.encrypt, "encrypt", false, "encrypt the disks with a passphrase, which is asked for; makes it OVF 2.0")
	flags.StringVar(&f.passphraseFile, "passphrase-file", "", "with --encrypt: the passphrase is the first line of this file")
	flags.BoolVar(&f.force, "force", false, "replace files that are there")
	addDetach(c, &f.detach)
	for flag, values := range exportChoices() {
		_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// check refuses values that there are not.
func (f *exportFlags) check() error {
	choices := exportChoices()
	for flag, value := range map[string]string{"ovf": f.version, "for": f.dialect, "digest": f.digest} {
		if values := choices[flag]; value != "" && !slices.Contains(values, value) {
			return usageError{fmt.Sprintf("--%s takes %s, not %q", flag, strings.Join(values, ", "), value)}
		}
	}
	if f.format != "" && !isStreamed(f.format) {
		return usageError{fmt.Sprintf("--disk-format takes %s, which can be written in one pass; not %q", strings.Join(formats.Streamed(), ", "), f.format)}
	}
	if (f.key == "") != (f.certificate == "") {
		return usageError{"a signature needs both the key (--sign) and its certificate (--cert)"}
	}
	if f.passphraseFile != "" && !f.encrypt {
		return usageError{"--passphrase-file has the passphrase to --encrypt with: add that, or leave it out"}
	}
	if f.encrypt && f.version == "" {
		f.version = "2.0"
	}
	if f.encrypt && f.version != "2.0" {
		return usageError{"--encrypt needs --ovf 2.0: earlier versions know of no encryption"}
	}
	return nil
}

// isStreamed tells whether a format, by any of its names, can be written in one
// pass.
func isStreamed(name string) bool {
	if name == "vmdk" {
		return true // a stream, in an appliance
	}
	if name == "iso" {
		return false // an alias of raw, and not what disks are
	}
	f, variant, err := disk.Find(formats.All(), name)
	if err != nil || f.Stream == nil {
		return false
	}
	v, err := f.Variant(variant)
	return err == nil && v.Stream
}

// request makes the request of the flags.
func (f *exportFlags) request(machines []string, destination string) (request api.ExportRequest, err error) {
	if err := f.check(); err != nil {
		return request, err
	}
	request = api.ExportRequest{
		Machines: machines, Name: f.name, Replace: f.force, Version: f.version, For: f.dialect, DiskFormat: f.format, Digest: f.digest, Compress: f.compress,
	}
	if !isStream(destination) {
		if request.Destination, err = exportDestination(destination); err != nil {
			return request, err
		}
	}
	for text, path := range map[*string]string{&request.Licence: f.licence, &request.Key: f.key, &request.Certificate: f.certificate} {
		if path == "" {
			continue
		}
		if *text, err = readText(path); err != nil {
			return request, failed("export", destination, err)
		}
	}
	request.Properties, err = f.readProperties(destination)
	return request, err
}

// exportDestination is where an export goes, for the daemon: an absolute path
// that ends with a slash if it is a folder.
func exportDestination(destination string) (string, error) {
	path, err := absolute(destination)
	if err != nil {
		return "", err
	}
	extension := strings.ToLower(filepath.Ext(destination))
	info, err := os.Stat(path)
	switch isFolder := err == nil && info.IsDir(); {
	case strings.HasSuffix(destination, "/"), isFolder && extension != ".ova" && extension != ".ovf":
		return strings.TrimSuffix(path, "/") + "/", nil
	case extension == ".gz" || extension == ".zst":
		return "", usageError{fmt.Sprintf("%q: programs that read OVF take no compressed archives; --compress compresses the disks in it", destination)}
	case extension != ".ova" && extension != ".ovf":
		return "", usageError{fmt.Sprintf("%q ends neither in .ova, for an archive, nor in .ovf or /, for files in a folder", destination)}
	}
	return path, nil
}

// readProperties puts together the properties of the file and of the flags, which
// win.
func (f *exportFlags) readProperties(destination string) (map[string]string, error) {
	given, err := pairs("--property", "KEY=VALUE", f.properties)
	if err != nil || f.propertiesFile == "" {
		return given, err
	}
	text, err := readText(f.propertiesFile)
	if err != nil {
		return nil, failed("export", destination, err)
	}
	all, err := parseProperties(text)
	if err != nil {
		return nil, failed("export", destination, fmt.Errorf("%s: %w", f.propertiesFile, err))
	}
	for key, value := range given {
		all[key] = value
	}
	return all, nil
}

// parseProperties reads lines KEY=VALUE as people write them: with empty lines,
// comments behind # or ; at a line's start, spaces around the sign, quotation marks
// around the value, a byte order mark, and line ends of any kind.
func parseProperties(text string) (map[string]string, error) {
	all := map[string]string{}
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), unquoted(strings.TrimSpace(value))
		if !found || key == "" {
			return nil, fmt.Errorf("line %d is not KEY=VALUE: %q", n+1, line)
		}
		if _, twice := all[key]; twice {
			return nil, fmt.Errorf("line %d gives %s a second time", n+1, key)
		}
		all[key] = value
	}
	return all, nil
}

// unquoted takes a pair of quotation marks off.
func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}
