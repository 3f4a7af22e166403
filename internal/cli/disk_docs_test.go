package cli_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/internal/testenv"
)

// synopses are the command lines of docs/disk.md: those that stand alone, up to
// what is said of them, and those within text.
func synopses(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile("../../docs/disk.md")
	if err != nil {
		t.Fatal(err)
	}
	alone := regexp.MustCompile(`(?m)^    (panal .*?)(  .*)?$((?:\n {20,}\[.*)*)`)
	within := regexp.MustCompile("`(panal disk [^`]+)`")
	var all []string
	for _, pattern := range []*regexp.Regexp{alone, within} {
		for _, found := range pattern.FindAllStringSubmatch(string(page), -1) {
			line := found[1]
			if len(found) > 3 { // it goes on below
				line += found[3]
			}
			all = append(all, strings.Join(strings.Fields(line), " "))
		}
	}
	if len(all) < 18 {
		t.Fatalf("the page has only the command lines %q", all)
	}
	return all
}

// syntax reads "a [b | c] (d | e)": brackets may be left out, and one of
// what bars separate is taken.
type syntax struct{ rest string }

// choices are all that may be typed, up to a closing bracket or the end.
func (s *syntax) choices() []string {
	var all []string
	current := []string{""}
	follow := func(with []string) {
		var longer []string
		for _, begin := range current {
			for _, end := range with {
				longer = append(longer, begin+end)
			}
		}
		current = longer
	}
	for s.rest != "" {
		at := s.rest[0]
		s.rest = s.rest[1:]
		switch at {
		case '[':
			follow(append([]string{""}, s.choices()...))
		case '(':
			follow(s.choices())
		case '|':
			all, current = append(all, current...), []string{""}
		case ']', ')':
			return append(all, current...)
		default:
			follow([]string{string(at)})
		}
	}
	return append(all, current...)
}

func TestSyntax(t *testing.T) {
	s := syntax{"a F[:V] (b | c [d])"}
	want := []string{"a F b", "a F c", "a F c d", "a F:V b", "a F:V c", "a F:V c d"}
	got := s.choices()
	for i, form := range got {
		got[i] = strings.Join(strings.Fields(form), " ")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// fillIn puts names of files and values where the documentation has words for
// them. What they are depends on the command.
func fillIn(line string) []string {
	file, format, variant, option := "disk.vdi", "qcow2", "vmdk:streamOptimized", "compression=zstd"
	switch strings.Fields(line)[2] {
	case "commit", "rebase":
		file = "child.qcow2"
	case "info":
		if strings.Contains(line, "--chain") {
			file = "child.qcow2"
		}
	case "serve":
		if strings.Contains(line, "--snapshot") {
			file = "snapshots.qcow2"
		}
	case "create":
		file, variant, option = "new.qcow2", "vmdk:twoGbMaxExtentSparse", "clusterSize=128K"
	}
	if strings.Contains(line, "F:VARIANT") {
		option = "adapterType=ide"
	}
	words := map[string]string{
		"FILE": file, "CHILD": "child.qcow2", "A": "disk.vdi", "B": "same.raw", "P": "other.vmdk",
		"SOURCE": "snapshots.qcow2", "DESTINATION": "out.qcow2", "ID": "monday",
		"F": format, "F:VARIANT": variant, "KEY=VALUE": option, "SIZE": "16M", "UUID": "12345678-9abc-4def-8123-456789abcdef",
		"PATH": "socket", "HOST:PORT": "127.0.0.1:0", "CERT": "cert.pem", "KEY": "key.pem", "CA": "cert.pem",
	}
	if strings.Contains(line, "rebase CHILD") {
		words["FILE"] = "base.qcow2"
	}
	args := regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1)
	for i, word := range args {
		args[i] = strings.Trim(word, `"`)
		if value, ok := words[word]; ok {
			args[i] = value
		}
	}
	return args
}

// TestDocumentedCommands runs every command line of docs/disk.md, in each form
// that it may have, on images of which it makes sense.
func TestDocumentedCommands(t *testing.T) {
	testenv.Need(t, "qemu-img")
	made := documentedImages(t)
	for _, line := range synopses(t) {
		for _, form := range (&syntax{line}).choices() {
			args := fillIn(form)
			t.Run(strings.Join(args, " "), func(t *testing.T) {
				dir, err := os.MkdirTemp("", "pd") // short, for a socket's path
				if err != nil {
					t.Fatal(err)
				}
				defer os.RemoveAll(dir)
				if err := os.CopyFS(dir, os.DirFS(made)); err != nil {
					t.Fatal(err)
				}
				for _, word := range args {
					if regexp.MustCompile(`^[A-Z:=]+$`).MatchString(word) {
						t.Fatalf("the test does not know what %s stands for", word)
					}
				}
				c := exec.Command(args[0], args[1:]...)
				c.Dir = dir
				c.Env = append(os.Environ(), "PANAL_RUNTIME="+dir, "PATH="+dir+":"+os.Getenv("PATH"))
				if args[2] == "serve" {
					serveUntilInterrupted(t, c)
				} else if out, err := c.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// serveUntilInterrupted waits until a server tells its address, and ends it.
func serveUntilInterrupted(t *testing.T, c *exec.Cmd) {
	t.Helper()
	var complaints strings.Builder
	c.Stderr = &complaints
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "nbd") {
		t.Errorf("it says %q", lines.Text())
	}
	if err := c.Process.Signal(os.Interrupt); err != nil && err != os.ErrProcessDone {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, complaints.String())
	}
}

// documentedImages makes a directory of what the commands need.
func documentedImages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"web.key": "honeycomb", "backup.key": "beeswax",
		"pass": "#!/bin/sh\n[ \"$*\" = 'show backup' ] && echo beeswax\n", // the keeper of passphrases of this name
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{
		"panal disk create disk.vdi --size 8M",
		"panal disk create same.raw --size 8M",
		"panal disk create base.qcow2 --size 8M",
		"panal disk create child.qcow2 --parent base.qcow2",
		"panal disk create other.vmdk --size 8M",
		"panal disk create snapshots.qcow2 --size 8M",
		"qemu-img snapshot -c monday snapshots.qcow2",
		"panal disk create web.vdi --size 8M",
		"panal disk create secret.qcow2 --size 8M --encrypt --new-passphrase-file web.key",
		"panal disk create backup.qcow2 --size 8M --encrypt --new-passphrase-file backup.key",
	} {
		args := strings.Fields(line)
		c := exec.Command(args[0], args[1:]...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	writeCertificate(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	return dir
}

// writeCertificate makes a certificate that vouches for itself.
func writeCertificate(t *testing.T, cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
