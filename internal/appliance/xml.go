package appliance

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/unicode"
)

// MaxDescription bounds the description of a machine, in bytes. The largest of
// the wild have some hundred KiB.
const MaxDescription = 16 << 20

// ReadDescription reads a description, which is refused when it is longer than
// [MaxDescription] or no regular file: opening a pipe would wait for who writes it.
func ReadDescription(files fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", name)
	}
	file, err := files.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxDescription+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxDescription {
		return nil, fmt.Errorf("%s is longer than the %d MiB that a description can have", name, MaxDescription>>20)
	}
	return data, nil
}

// DecodeXML decodes a document in any encoding that it declares, as
// [xml.Unmarshal] does. A document type is refused, and with it all entities
// but those of XML itself.
func DecodeXML(data []byte, v any) error {
	data, err := toUTF8(data)
	if err != nil {
		return err
	}
	if _, err := root(data); err != nil {
		return err
	}
	return decoder(data).Decode(v)
}

// RootElement is the name of a document's outermost element, without its
// namespace.
func RootElement(data []byte) (string, error) {
	data, err := toUTF8(data)
	if err != nil {
		return "", err
	}
	return root(data)
}

// toUTF8 converts a document that begins with a byte order mark.
func toUTF8(data []byte) ([]byte, error) {
	if bytes.HasPrefix(data, []byte{0xfe, 0xff}) || bytes.HasPrefix(data, []byte{0xff, 0xfe}) {
		return unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data)
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), nil
}

func decoder(data []byte) *xml.Decoder {
	d := xml.NewDecoder(bytes.NewReader(data))
	d.CharsetReader = func(name string, in io.Reader) (io.Reader, error) {
		if strings.HasPrefix(strings.ToLower(name), "utf-16") {
			return in, nil // it was, and is converted already
		}
		encoding, err := htmlindex.Get(name)
		if err != nil {
			return nil, fmt.Errorf("the encoding %q is unknown", name)
		}
		return encoding.NewDecoder().Reader(in), nil
	}
	return d
}

// root is the name of the outermost element; what stands before it must be no
// document type.
func root(data []byte) (string, error) {
	d := decoder(data)
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return "", errors.New("it holds no XML")
		}
		if err != nil {
			return "", err
		}
		switch token := token.(type) {
		case xml.Directive:
			return "", errors.New("it has a document type, which no description of a machine has")
		case xml.StartElement:
			return token.Name.Local, nil
		}
	}
}
