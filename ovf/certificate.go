package ovf

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// What a certificate file may have.
const (
	maxCertificate = 1 << 20 // bytes
	maxChain       = 32      // certificates
)

// Certificate is a signature of a manifest, with the certificate of who signed
// (DSP0243 1.1, 5.1):
//
//	SHA256(web.mf)= 7f2b…              the signature, in hexadecimal digits
//	-----BEGIN CERTIFICATE-----
//	…
//	-----END CERTIFICATE-----
//
// The signature is of the manifest's bytes: RSA with PKCS #1 v1.5 padding, or
// ECDSA as an ASN.1 sequence; what "openssl dgst -sha256 -sign -hex" writes.
type Certificate struct {
	Manifest  string // the manifest's name
	Algorithm Algorithm
	Signature []byte
	Chain     []*x509.Certificate // the signer's first, then those above, if any
}

// ParseCertificate reads a .cert file.
func ParseCertificate(r io.Reader) (*Certificate, error) {
	text, err := readAll(r, "certificate", maxCertificate)
	if err != nil {
		return nil, err
	}
	c := &Certificate{}
	begin := bytes.Index(text, []byte("-----BEGIN"))
	if begin < 0 {
		return nil, malformed("certificate", 0, 0, "there is no certificate: no line -----BEGIN CERTIFICATE-----")
	}
	if err := c.signatureLine(string(text[:begin])); err != nil {
		return nil, malformed("certificate", 0, 0, "%v", err)
	}
	if err := c.certificates(bytes.TrimRight(text[begin:], "\x00")); err != nil {
		return nil, malformed("certificate", 0, 0, "%v", err)
	}
	return c, nil
}

// signatureLine reads what stands before the certificate. OpenSSL 3 writes
// RSA-SHA2-256 or EC-SHA2-256 for the algorithm.
func (c *Certificate) signatureLine(text string) error {
	algorithm, file, value, ok := signedName(strings.TrimSpace(text))
	if !ok {
		return fmt.Errorf("it does not begin with a signature, ALGORITHM(manifest)= digits")
	}
	name := strings.ToUpper(algorithm)
	for _, key := range []string{"RSA-", "ECDSA-", "EC-"} {
		name = strings.TrimPrefix(name, key)
	}
	var err error
	if c.Algorithm, err = ParseAlgorithm(name); err != nil {
		return err
	}
	c.Manifest = file
	c.Signature, err = hex.DecodeString(strings.Join(strings.Fields(value), ""))
	if err != nil || len(c.Signature) == 0 {
		return fmt.Errorf("the signature is not in hexadecimal digits")
	}
	return nil
}

func (c *Certificate) certificates(text []byte) error {
	for len(c.Chain) < maxChain {
		block, rest := pem.Decode(text)
		if block == nil {
			break
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		found, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("reading an X.509 certificate: %w", err)
		}
		c.Chain = append(c.Chain, found)
	}
	if len(c.Chain) == 0 {
		return fmt.Errorf("there is no X.509 certificate in it")
	}
	return nil
}

// Signer is who signed a manifest.
type Signer struct {
	Subject string // the certificate's, as "CN=Acme Appliances,O=Acme"
	Issuer  string
	Expires time.Time
	// Distrust is why the certificate is not trusted: no root leads to it, it
	// has expired, …; nil if it is trusted.
	Distrust error
}

// Verify checks that the signature is of a manifest's bytes and was made with
// the certificate's key: ErrSignature if it was not. Whether the certificate
// itself is to be trusted is judged by roots, at a time; with nil roots it is
// not, and Signer says so.
func (c *Certificate) Verify(manifest []byte, roots *x509.CertPool, at time.Time) (*Signer, error) {
	leaf := c.Chain[0]
	s := &Signer{Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(), Expires: leaf.NotAfter}
	h := c.Algorithm.New()
	h.Write(manifest)
	if err := verifySignature(leaf.PublicKey, crypto.Hash(c.Algorithm), h.Sum(nil), c.Signature); err != nil {
		return s, fmt.Errorf("verifying the signature of %s by %q: %w", c.Manifest, s.Subject, err)
	}
	s.Distrust = c.trust(roots, at)
	return s, nil
}

func verifySignature(key any, algorithm crypto.Hash, sum, signature []byte) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if rsa.VerifyPKCS1v15(key, algorithm, sum, signature) != nil {
			return ErrSignature
		}
		return nil
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, sum, signature) {
			return ErrSignature
		}
		return nil
	}
	return unsupported("a key of type %T cannot be used; RSA and ECDSA can", key)
}

// trust follows the certificate to a root.
func (c *Certificate) trust(roots *x509.CertPool, at time.Time) error {
	if roots == nil {
		return fmt.Errorf("no trusted roots were given to judge the certificate of %q by", c.Chain[0].Subject)
	}
	between := x509.NewCertPool()
	for _, above := range c.Chain[1:] {
		between.AddCert(above)
	}
	_, err := c.Chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err
}

// Sign signs a manifest with the key of the first certificate of a chain: an
// RSA or ECDSA key.
func Sign(name string, manifest []byte, algorithm Algorithm, key crypto.Signer, chain []*x509.Certificate) (*Certificate, error) {
	if len(chain) == 0 {
		return nil, fmt.Errorf("signing %s: there is no certificate", name)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, fmt.Errorf("signing %s: the key is not that of the certificate of %q", name, chain[0].Subject)
	}
	h := algorithm.New()
	h.Write(manifest)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), crypto.Hash(algorithm))
	if err != nil {
		return nil, fmt.Errorf("signing %s: %w", name, err)
	}
	c := &Certificate{Manifest: name, Algorithm: algorithm, Signature: signature, Chain: slices.Clone(chain)}
	if _, err := c.Verify(manifest, nil, time.Time{}); err != nil {
		return nil, fmt.Errorf("signing %s: %w", name, err) // a kind of key that is not ours
	}
	return c, nil
}

// Write writes the .cert file.
func (c *Certificate) Write(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s(%s)= %x\n", c.Algorithm, c.Manifest, c.Signature)
	for _, one := range c.Chain {
		if err := pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: one.Raw}); err != nil {
			return err
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
