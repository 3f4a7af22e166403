package exporter

import (
	"hash"
	"io"
)

// digester computes the digest of what is written.
type digester struct {
	io.WriteCloser
	hash hash.Hash
	end  func(sum []byte)
}

// Write writes on.
func (d *digester) Write(p []byte) (int, error) {
	n, err := d.WriteCloser.Write(p)
	d.hash.Write(p[:n]) // never fails
	return n, err
}

// Close closes the file and tells the digest.
func (d *digester) Close() error {
	if err := d.WriteCloser.Close(); err != nil {
		return err
	}
	d.end(d.hash.Sum(nil))
	return nil
}
