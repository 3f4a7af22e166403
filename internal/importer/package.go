package importer

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// Trust is what signatures are judged by: the certificates of authorities.
type Trust struct {
	Roots *x509.CertPool // nil for the system's
	// Required refuses what is not signed by one whom they vouch for.
	Required bool
}

// withRoots is t with the system's authorities where it has none.
func (t Trust) withRoots() Trust {
	if t.Roots == nil {
		if roots, err := x509.SystemCertPool(); err == nil {
			t.Roots = roots
		}
	}
	return t
}

// demand refuses what is not signed as it must be.
func (t Trust) demand(label string, known Integrity) error {
	if !t.Required || known.Trusted {
		return nil
	}
	return problem.New(api.KindRefused, "ask who made it for a signature that they vouch for, or leave --trust out", "import %s: %s", label, known.Text)
}

// Integrity is what is known of a package's manifest and signature.
type Integrity struct {
	Text     string   // in words, for the user
	Trusted  bool     // it is signed by one whom an authority vouches for
	Findings []string // what is not as it should be, and no reason to refuse

	unlisted []string // files that the manifest does not mention
}

// noManifest is what is known of a package without one.
const noManifest = "it has no manifest: nothing tells whether it is whole"

// Verify computes the digests of all that a manifest mentions. It fails when
// something is not what the manifest or the signature says.
func (s *Source) Verify(ctx context.Context, t Trust) (Integrity, error) {
	result := Integrity{Text: noManifest}
	if s.verify != nil {
		var err error
		if result, err = s.verify(ctx, t.withRoots()); err != nil {
			if wrong, ok := errors.AsType[*ovf.MismatchError](err); ok {
				s.mismatch = wrong.File
			}
			return result, explain(s.path, err)
		}
	}
	if err := judge(s.path, s.misfits, result); err != nil {
		return result, err
	}
	return result, t.demand(s.path, result)
}

// Mismatch is the file that Verify found to be another than the manifest says; "" if it found none.
func (s *Source) Mismatch() string { return s.mismatch }

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
	env, err := s.readEnvelope(strings.NewReader(string(data)), choices)
	if err != nil {
		return err
	}
	s.refer(filepath.Base(s.path), env)
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
	env, err := s.readEnvelope(a.Content(descriptorOf(a)), choices)
	if err != nil {
		return err
	}
	s.base, s.members = s.path, a
	s.refer("", env)
	s.verify = func(ctx context.Context, t Trust) (Integrity, error) {
		report, err := a.Verify(ctx, ova.Trust{Roots: t.Roots, Elsewhere: s.elsewhere})
		if err != nil {
			return Integrity{}, err
		}
		return integrity(report), s.complete(report.Unlisted, report.Signer != nil)
	}
	return nil
}

// descriptorOf is the descriptor of an archive, which always has one.
func descriptorOf(a *ova.Archive) *ova.Entry {
	all := a.Members()
	return &all[slices.IndexFunc(all, func(e ova.Entry) bool { return e.Kind == ova.Descriptor })]
}

// readEnvelope reads a descriptor, and what decrypts the files.
func (s *Source) readEnvelope(r io.Reader, choices appliance.Choices) (*ovf.Envelope, error) {
	sum := sha256.New()
	env, ciphers, err := readEnvelope(io.TeeReader(r, sum), s.path, s.passphrase)
	s.described = sum.Sum(nil)
	if err != nil {
		return nil, err
	}
	if s.Appliance, err = envelope.Read(env, choices); err != nil {
		return nil, err
	}
	s.ciphers = ciphers
	return env, markEncrypted(s.Appliance, env)
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
		out.Trusted = r.Signer.Distrust == nil
	}
	out.unmentioned(r.Unlisted)
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, f.String())
	}
	return out
}

// unmentioned notes the files that the manifest does not mention.
func (i *Integrity) unmentioned(names []string) {
	for _, name := range names {
		i.unlisted = append(i.unlisted, path.Clean(name))
		i.Findings = append(i.Findings, fmt.Sprintf("the manifest does not mention %s", name))
	}
}

// verifyFolder checks the files of a folder against the manifest beside the
// descriptor.
func (s *Source) verifyFolder(ctx context.Context, t Trust) (Integrity, error) {
	stem := strings.TrimSuffix(filepath.Base(s.path), filepath.Ext(s.path))
	manifest, err := s.small(stem + ".mf")
	if errors.Is(err, os.ErrNotExist) {
		if _, err := s.small(stem + ".cert"); !errors.Is(err, os.ErrNotExist) {
			return Integrity{}, fmt.Errorf("there is the certificate %s.cert and no manifest %s.mf that it could be of: nothing tells whether that is what was signed", stem, stem)
		}
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
	unlisted := s.unlisted(parsed)
	out.unmentioned(unlisted)
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
	out.Trusted = signer.Distrust == nil
	return out, s.complete(unlisted, true)
}

// small reads a manifest or certificate.
func (s *Source) small(name string) ([]byte, error) {
	return appliance.ReadDescription(s.root.FS(), name)
}

// verifyFile computes one digest.
func (s *Source) verifyFile(ctx context.Context, want ovf.Digest) error {
	if remote := s.remoteOf(want.File); remote != "" {
		return s.verifyRemote(remote, want)
	}
	file, err := s.regular(path.Clean(want.File))
	if err != nil {
		return fmt.Errorf("the manifest names %s: %w", want.File, err)
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
