package ova

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/panalvm/panal/ovf"
)

// Trust is what certificates are judged by.
type Trust struct {
	Roots *x509.CertPool // nil trusts none
	Time  time.Time      // zero is now
	// Elsewhere judges the digest of a file that is not in the archive, because
	// the descriptor says that it lies elsewhere. It returns false for a file
	// that should be in the archive; nil knows of none.
	Elsewhere func(d ovf.Digest) (known bool, err error)
}

// Report is what is known of an archive's integrity.
type Report struct {
	Manifest    *ovf.Manifest    // nil if there is none: nothing is known to be whole
	Certificate *ovf.Certificate // nil if it is not signed
	Signer      *ovf.Signer      // who signed, and whether that is to be trusted; nil if it is not signed
	Verified    []string         // files that are what the manifest says
	Unlisted    []string         // files that the manifest does not mention
	Findings    []ovf.Finding    // what else is not as it should be
}

// Verify tells whether the archive is what its manifest says, and the manifest
// what its certificate says. All members must have been gone through, until
// Next gave io.EOF; an earlier error of Next is what Verify gives too. The error
// joins all that is wrong: *ovf.MismatchError, ErrMissing, ovf.ErrSignature.
// That there is no manifest, no certificate or none to be trusted is no error
// here; the Report says it.
func (r *Reader) Verify(t Trust) (*Report, error) {
	if r.failed == nil {
		return nil, fmt.Errorf("verifying the archive: it was not read to its end")
	}
	if !errors.Is(r.failed, io.EOF) {
		return nil, r.failed
	}
	return report{
		members: r.members, manifest: r.manifest, manifestRaw: r.manifestRaw, manifestAs: r.manifestAs,
		certificate: r.certificate, findings: r.scan.findings,
		sum: func(name string, a ovf.Algorithm) ([]byte, error) { return r.sums[name][a], nil },
	}.make(t)
}

// report is what a Report is made of.
type report struct {
	members     []Entry
	manifest    *ovf.Manifest
	manifestRaw []byte
	manifestAs  string
	certificate *ovf.Certificate
	findings    []ovf.Finding
	sum         func(name string, a ovf.Algorithm) ([]byte, error) // nil if it is not known
}

func (p report) make(t Trust) (*Report, error) {
	made := &Report{Manifest: p.manifest, Certificate: p.certificate, Findings: p.findings}
	if p.manifest == nil {
		if p.certificate != nil {
			return made, &Error{Err: fmt.Errorf("there is a certificate and no manifest that it could be of: %w", ErrMissing)}
		}
		return made, nil
	}
	err := p.digests(made, t.Elsewhere)
	if p.certificate == nil {
		return made, err
	}
	if t.Time.IsZero() {
		t.Time = time.Now()
	}
	if p.certificate.Manifest != p.manifestAs {
		made.Findings = append(made.Findings, ovf.Finding{Severity: ovf.Warning, Where: p.manifestAs, Text: fmt.Sprintf("the signature says that it is of %.100q", p.certificate.Manifest)})
	}
	signer, wrong := p.certificate.Verify(p.manifestRaw, t.Roots, t.Time)
	made.Signer = signer
	return made, errors.Join(err, wrong)
}

// digests compares all files with the manifest.
func (p report) digests(made *Report, elsewhere func(ovf.Digest) (bool, error)) error {
	var wrong []error
	places := map[string]Entry{}
	for _, m := range p.members {
		places[m.Name] = m
	}
	listed, bad := map[string]bool{}, map[string]bool{}
	for _, d := range p.manifest.Digests {
		at, ok := places[d.File]
		if !ok && elsewhere != nil {
			if known, err := elsewhere(d); known {
				if err != nil {
					wrong = append(wrong, &Error{Member: d.File, Err: err})
				}
				continue
			}
		}
		if !ok {
			wrong = append(wrong, &Error{Member: d.File, Err: fmt.Errorf("the manifest has a digest of it: %w", ErrMissing)})
			continue
		}
		listed[d.File] = true
		if err := p.compare(d, d.File); err != nil {
			bad[d.File] = true
			wrong = append(wrong, &Error{Member: d.File, Offset: at.Offset, Err: err})
		}
	}
	for _, m := range p.members {
		switch {
		case m.Kind == Manifest || m.Kind == Certificate || bad[m.Name]:
		case listed[m.Name]:
			made.Verified = append(made.Verified, m.Name)
		default:
			made.Unlisted = append(made.Unlisted, m.Name)
		}
	}
	return errors.Join(wrong...)
}

func (p report) compare(d ovf.Digest, name string) error {
	have, err := p.sum(name, d.Algorithm)
	if err != nil {
		return err
	}
	if have == nil {
		return fmt.Errorf("its %s digest was not computed; ask for it in Options.Digests", d.Algorithm)
	}
	return d.Verify(have)
}
