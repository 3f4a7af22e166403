package importer

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// Trust is what signatures are judged by: the certificates of authorities.
type Trust struct {
	Roots *x509.CertPool // nil for the system's
}

// Integrity is what is known of a package's manifest and signature.
type Integrity struct {
	Text     string   // in words, for the user
	Findings []string // what is not as it should be, and no reason to refuse
}

// noManifest is what is known of a package without one.
const noManifest = "it has no manifest: nothing tells whether it is whole"

// Verify computes the digests of all that a manifest mentions. It fails when
// something is not what the manifest or the signature says.
func (s *Source) Verify(ctx context.Context, t Trust) (Integrity, error) {
	if s.verify == nil {
		return Integrity{Text: cmp.Or(s.unsigned, noManifest)}, nil
	}
	if t.Roots == nil {
		if roots, err := x509.SystemCertPool(); err == nil {
			t.Roots = roots
		}
	}
	result, err := s.verify(ctx, t)
	if err != nil {
		return result, explain(s.path, err)
	}
	return result, nil
}

// envelope reads an OVF in a folder.
func (s *Source) envelope(choices appliance.Choices) error {
	files, err := s.folder()
	if err != nil {
		return err
	}
	data, err := appliance.ReadDescription(files, filepath.Base(s.path))
	if err != nil {
		return err
	}
	env, err := ovf.Parse(strings.NewReader(string(data)))
	if err != nil {
		return err
	}
	if s.Appliance, err = envelope.Read(env, choices); err != nil {
		return err
	}
	s.verify = s.verifyFolder
	return nil
}

// isArchive tells whether a file is a tar archive with a descriptor.
func isArchive(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	a, err := ova.Open(file, info.Size(), ova.Limits{})
	if err != nil {
		return false
	}
	for _, m := range a.Members() {
		if m.Kind == ova.Descriptor {
			return true
		}
	}
	return false
}

// archive reads an OVA.
func (s *Source) archive(choices appliance.Choices) error {
	file, err := os.Open(s.path)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, file)
	info, err := file.Stat()
	if err != nil {
		return err
	}
	a, err := ova.Open(file, info.Size(), ova.Limits{})
	if err != nil {
		return err
	}
	env, err := a.Envelope()
	if err != nil {
		return err
	}
	if s.Appliance, err = envelope.Read(env, choices); err != nil {
		return err
	}
	s.base, s.members = s.path, a
	s.verify = func(ctx context.Context, t Trust) (Integrity, error) {
		report, err := a.Verify(ctx, ova.Trust{Roots: t.Roots})
		if err != nil {
			return Integrity{}, err
		}
		return integrity(report), nil
	}
	return nil
}

// signed says who signed, and whether that counts.
func signed(s *ovf.Signer) string {
	if s.Distrust != nil {
		return fmt.Sprintf("it is signed by %s, which is not trusted: %s", s.Subject, s.Distrust)
	}
	return fmt.Sprintf("it is signed by %s, which %s vouches for", s.Subject, s.Issuer)
}

// integrity puts a report into words.
func integrity(r *ova.Report) Integrity {
	var out Integrity
	switch {
	case r.Manifest == nil:
		out.Text = noManifest
	case r.Signer == nil:
		out.Text = fmt.Sprintf("%d files are what the manifest says; it is not signed", len(r.Verified))
	default:
		out.Text = fmt.Sprintf("%d files are what the manifest says; %s", len(r.Verified), signed(r.Signer))
	}
	for _, name := range r.Unlisted {
		out.Findings = append(out.Findings, fmt.Sprintf("the manifest does not mention %s", name))
	}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, f.String())
	}
	return out
}

// verifyFolder checks the files of a folder against the manifest beside the
// descriptor.
func (s *Source) verifyFolder(ctx context.Context, t Trust) (Integrity, error) {
	stem := strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	manifest, err := s.small(stem + ".mf")
	if errors.Is(err, os.ErrNotExist) {
		return Integrity{Text: noManifest}, nil
	}
	if err != nil {
		return Integrity{}, err
	}
	parsed, err := ovf.ParseManifest(strings.NewReader(string(manifest)))
	if err != nil {
		return Integrity{}, err
	}
	for _, digest := range parsed.Digests {
		if err := s.verifyFile(ctx, digest); err != nil {
			return Integrity{}, err
		}
	}
	out := Integrity{Text: fmt.Sprintf("%d files are what the manifest says; it is not signed", len(parsed.Digests))}
	certificate, err := s.small(stem + ".cert")
	if errors.Is(err, os.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	c, err := ovf.ParseCertificate(strings.NewReader(string(certificate)))
	if err != nil {
		return out, err
	}
	signer, err := c.Verify(manifest, t.Roots, time.Now())
	if err != nil {
		return out, err
	}
	out.Text = fmt.Sprintf("%d files are what the manifest says; %s", len(parsed.Digests), signed(signer))
	return out, nil
}

// small reads a manifest or certificate.
func (s *Source) small(name string) ([]byte, error) {
	return appliance.ReadDescription(s.root.FS(), name)
}

// verifyFile computes one digest.
func (s *Source) verifyFile(ctx context.Context, want ovf.Digest) error {
	file, err := s.root.Open(filepath.FromSlash(path.Clean(want.File)))
	if err != nil {
		return fmt.Errorf("the manifest names %s: %w", want.File, errors.Join(err))
	}
	defer file.Close()
	hash := want.Algorithm.New()
	if _, err := io.Copy(hash, contextReader{ctx, file}); err != nil {
		return fmt.Errorf("%s: %w", want.File, err)
	}
	return want.Verify(hash.Sum(nil))
}

// contextReader reads until its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read fails when the context has ended.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
