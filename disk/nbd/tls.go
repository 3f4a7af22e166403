package nbd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
)

// TLSPolicy says whether sessions are encrypted.
type TLSPolicy int

// Policies; the names in proto, "TLS support", are NOTLS, SELECTIVETLS with no
// export that insists, and FORCEDTLS.
const (
	TLSOff     TLSPolicy = iota // never
	TLSAllow                    // when the client wants it
	TLSRequire                  // always: without it clients learn nothing, not even names
)

// TLSFromPEM makes a TLS configuration of a server's certificate chain and key.
// With clientCAs, clients must show a certificate that one of these
// authorities signed.
func TLSFromPEM(certificate, key, clientCAs []byte) (*tls.Config, error) {
	own, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("use the server's TLS certificate and key: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	if clientCAs != nil {
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(clientCAs) {
			return nil, errors.New("use the authorities for client certificates: no certificate in them")
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// errInjected: plain text behind STARTTLS would, were it read on as if it had
// come encrypted, let who sits between slip options in.
var errInjected = errors.New("the client sent more before TLS began")

// startTLS answers STARTTLS. Nothing that was negotiated before is kept.
func (c *conn) startTLS(ctx context.Context, o received) error {
	policy := c.server.options.TLS
	switch {
	case policy == TLSOff:
		return c.refuse(o, repErrPolicy, "this server does not use TLS")
	case c.encrypted:
		return c.refuse(o, repErrInvalid, "TLS has begun already")
	case len(o.data) != 0:
		return c.refuse(o, repErrInvalid, "STARTTLS takes no data")
	case c.in.Buffered() != 0:
		return errInjected
	}
	c.answer(o, repAck, nil)
	if err := c.sendAnswers(); err != nil {
		return err
	}
	secured := tls.Server(c.raw, c.server.options.TLSConfig)
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("begin TLS: %w", err)
	}
	c.encrypted = true
	c.attach(secured)
	c.session = session{}
	return nil
}
