package nbd_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/panalvm/panal/disk/nbd"
)

// authority signs certificates for a test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, KeyUsage: x509.KeyUsageCertSign}
	var der []byte
	der, a.key = a.sign(template, template)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *authority) sign(template, parent *x509.Certificate) ([]byte, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	return der, key
}

// issue makes a certificate for localhost, or for a client.
func (a *authority) issue(usage x509.ExtKeyUsage) (cert, key []byte) {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, private := a.sign(template, a.cert)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// directory is laid out as GnuTLS clients of NBD want their credentials.
func (a *authority) directory(withClient bool) string {
	dir := a.t.TempDir()
	files := map[string][]byte{"ca-cert.pem": a.pem}
	if withClient {
		files["client-cert.pem"], files["client-key.pem"] = a.issue(x509.ExtKeyUsageClientAuth)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	return dir
}

// serverTLS is the configuration of a server that wants clients' certificates, or not.
func (a *authority) serverTLS(verify bool) *tls.Config {
	cert, key := a.issue(x509.ExtKeyUsageServerAuth)
	var clients []byte
	if verify {
		clients = a.pem
	}
	config, err := nbd.TLSFromPEM(cert, key, clients)
	if err != nil {
		a.t.Fatal(err)
	}
	return config
}

// startTLS makes a client's connection an encrypted one.
func (c *client) startTLS(config *tls.Config) error {
	c.t.Helper()
	c.option(optStartTLS, nil)
	if kind, text := c.reply(optStartTLS); kind != repAck {
		c.t.Fatalf("%#x %s", kind, text)
	}
	secured := tls.Client(c.Conn, config)
	c.Conn = secured
	return secured.Handshake()
}

func (a *authority) clientTLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(a.cert)
	return &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

func TestTLSPolicies(t *testing.T) {
	a := newAuthority(t)
	for policy, want := range map[nbd.TLSPolicy]struct{ plain, tls uint32 }{
		nbd.TLSOff: {repAck, errPolicy}, nbd.TLSAllow: {repAck, repAck}, nbd.TLSRequire: {errTLSReqd, repAck},
	} {
		_, socket := serve(t, nbd.Options{TLS: policy, TLSConfig: a.serverTLS(false)}, nbd.Export{Image: patterned(8192)})
		c := begin(t, socket)
		for _, o := range []uint32{optStructured, 99, optExtended} {
			c.option(o, nil)
			if kind, _ := c.reply(o); kind != want.plain && (o != 99 || policy == nbd.TLSRequire) {
				t.Errorf("policy %d: option %d without TLS: %#x", policy, o, kind)
			}
		}
		c.option(optStartTLS, nil)
		if kind, _ := c.reply(optStartTLS); kind != want.tls {
			t.Errorf("policy %d: STARTTLS: %#x", policy, kind)
		}
	}
}

func TestTLSSession(t *testing.T) {
	a := newAuthority(t)
	m := patterned(4 << 20)
	_, socket := serve(t, nbd.Options{TLS: nbd.TLSRequire, TLSConfig: a.serverTLS(false)}, nbd.Export{Image: m})
	c := begin(t, socket)
	if err := c.startTLS(a.clientTLS()); err != nil {
		t.Fatal(err)
	}
	c.option(optStartTLS, nil)
	if kind, _ := c.reply(optStartTLS); kind != errInvalid {
		t.Errorf("STARTTLS again: %#x", kind)
	}
	c.option(optStructured, nil)
	c.reply(optStructured)
	c.structured = true
	c.goTo("")
	if e := c.do(write, 0, 100, 2<<20, make([]byte, 2<<20)); e != 0 {
		t.Errorf("errno %d", e)
	}
	if got, _, e := c.read(0, 0, 4<<20); e != 0 || !bytes.Equal(got, m.content()) {
		t.Errorf("errno %d, or other content", e)
	}
	c.request(disc, 0, 0, 0, nil)
	c.closed()
}

// What was negotiated in the clear counts for nothing after STARTTLS.
func TestTLSForgetsWhatWasBefore(t *testing.T) {
	a := newAuthority(t)
	_, socket := serve(t, nbd.Options{TLS: nbd.TLSAllow, TLSConfig: a.serverTLS(false)}, nbd.Export{Image: patterned(8192)})
	c := begin(t, socket)
	c.option(optStructured, nil)
	c.reply(optStructured)
	if err := c.startTLS(a.clientTLS()); err != nil {
		t.Fatal(err)
	}
	c.goTo("")
	if _, chunks, _ := c.read(0, 0, 512); !chunks[0].simple {
		t.Error("structured replies outlived STARTTLS")
	}
}

// Who sits between client and server may add plain text behind STARTTLS.
func TestTLSInjection(t *testing.T) {
	a := newAuthority(t)
	_, socket := serve(t, nbd.Options{TLS: nbd.TLSAllow, TLSConfig: a.serverTLS(false)}, nbd.Export{Image: patterned(8192)})
	c := begin(t, socket)
	header := []byte("IHAVEOPT\x00\x00\x00\x05\x00\x00\x00\x00")
	c.put(header, header)
	c.closed()
}

func TestTLSClientCertificates(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	_, socket := serve(t, nbd.Options{TLS: nbd.TLSRequire, TLSConfig: a.serverTLS(true)}, nbd.Export{Image: patterned(8192)})
	for name, try := range map[string]struct {
		from *authority
		ok   bool
	}{"ours": {a, true}, "none": {nil, false}, "another's": {stranger, false}} {
		config := a.clientTLS()
		if try.from != nil {
			pair, err := tls.X509KeyPair(try.from.issue(x509.ExtKeyUsageClientAuth))
			if err != nil {
				t.Fatal(err)
			}
			config.Certificates = []tls.Certificate{pair}
		}
		c := begin(t, socket)
		err := c.startTLS(config)
		if err == nil { // TLS 1.3 tells the client later
			_, err = c.Write(append([]byte("IHAVEOPT\x00\x00\x00\x03"), 0, 0, 0, 0))
			if err == nil {
				_, err = c.Read(make([]byte, 8))
			}
		}
		if (err == nil) != try.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTLSKeysThatAreWrong(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue(x509.ExtKeyUsageServerAuth)
	if _, err := nbd.TLSFromPEM(cert, cert, nil); err == nil {
		t.Error("a certificate was taken for a key")
	}
	if _, err := nbd.TLSFromPEM(cert, key, []byte("nothing")); err == nil {
		t.Error("nothing was taken for an authority")
	}
}
