package manager

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance/envelope"
	"github.com/panalvm/panal/internal/exporter"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
)

// ovfVersions and digests are what requests name.
var (
	ovfVersions = map[string]ovf.Version{"": ovf.Version11, "1.0": ovf.Version10, "1.1": ovf.Version11, "2.0": ovf.Version20}
	digests     = map[string]ovf.Algorithm{"": ovf.SHA256, "sha1": ovf.SHA1, "sha256": ovf.SHA256, "sha512": ovf.SHA512}
)

func refuseExport(help, format string, args ...any) error {
	return problem.New(api.KindInvalid, help, "export: "+format, args...)
}

// exportOptions checks how is to be exported.
func exportOptions(request api.ExportRequest) (exporter.Options, error) {
	o := exporter.Options{
		Dialect: envelope.Dialect(request.For), Format: request.DiskFormat, Licence: request.Licence,
		Properties: request.Properties, Compress: request.Compress, Passphrase: request.Passphrase,
	}
	if o.Dialect == "" {
		o.Dialect = envelope.ForAny
	}
	var known bool
	if o.Version, known = ovfVersions[request.Version]; !known {
		return o, refuseExport("one of 1.0, 1.1, 2.0", "there is no version %q of OVF", request.Version)
	}
	if o.Digest, known = digests[request.Digest]; !known {
		return o, refuseExport("one of sha1, sha256, sha512", "there is no digest %q", request.Digest)
	}
	if !isText(request.Licence) {
		return o, refuseExport("give it as plain text in UTF-8", "the licence holds what is no text")
	}
	if err := exporter.CheckFormat(request.DiskFormat); err != nil {
		return o, refuseExport("one of "+strings.Join(formats.Streamed(), ", "), "disk format: %s", err)
	}
	for key, value := range request.Properties {
		if err := exporter.CheckProperty(key); err != nil {
			return o, refuseExport("such as org.example.size", "%s", err)
		}
		if !isText(value) {
			return o, refuseExport("give it as plain text in UTF-8", "the value of the property %s is no text", key)
		}
	}
	if o.Passphrase != "" && o.Version < ovf.Version20 {
		return o, refuseExport("add --ovf 2.0", "OVF %s knows of no encryption", o.Version)
	}
	return signed(o, request)
}

// isText tells whether XML can hold a text.
func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && !unicode.IsSpace(r) || r == unicode.ReplacementChar || r == 0xfffe || r == 0xffff
	})
}

// signed adds what an appliance is signed with.
func signed(o exporter.Options, request api.ExportRequest) (exporter.Options, error) {
	if (request.Key == "") != (request.Certificate == "") {
		return o, refuseExport("give both, or none", "a signature needs a key and its certificate")
	}
	if request.Key == "" {
		return o, nil
	}
	pair, err := tls.X509KeyPair([]byte(request.Certificate), []byte(request.Key))
	if err != nil {
		return o, refuseExport("", "the key and the certificate do not fit: %s", err)
	}
	switch key := pair.PrivateKey.(type) {
	case *rsa.PrivateKey:
		o.Key = key
	case *ecdsa.PrivateKey:
		o.Key = key
	default:
		return o, refuseExport("take an RSA or ECDSA key", "a manifest is not signed with a key of the kind %T", key)
	}
	for _, der := range pair.Certificate {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return o, refuseExport("", "a certificate cannot be read: %s", err)
		}
		o.Chain = append(o.Chain, certificate)
	}
	if now := time.Now(); now.Before(o.Chain[0].NotBefore) || now.After(o.Chain[0].NotAfter) {
		return o, refuseExport("take one that is valid", "the certificate was valid from %s to %s: nobody who checks it would trust the signature",
			o.Chain[0].NotBefore.Format(time.DateOnly), o.Chain[0].NotAfter.Format(time.DateOnly))
	}
	return o, nil
}
