package ovf_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/internal/testenv"
	"github.com/panalvm/panal/ovf"
)

// encrypted is a package as the example in DSP0243 2.1, 9.17 has it.
const encrypted = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/2" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2"
    xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" xmlns:xenc11="http://www.w3.org/2009/xmlenc11#">
  <References><File ovf:id="disk" ovf:href="Ref-109.vhd">
    <xenc:EncryptedData Id="first.vhd" Type="http://www.isi.edu/in-notes/iana/assignments/media-types/application/octet-stream">
      <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
      <xenc:CipherData><xenc:CipherReference URI="Ref-109.vhd"/></xenc:CipherData>
    </xenc:EncryptedData></File>
  </References>
  <EncryptionSection><Info>Encrypted</Info>
    <xenc11:DerivedKey>
      <xenc11:KeyDerivationMethod Algorithm="http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5#pbkdf2"/>
      <PBKDF2-params><Salt><Specified>ovfpassword</Specified></Salt><IterationCount>4096</IterationCount>
        <KeyLength>16</KeyLength><PRF Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/></PBKDF2-params>
      <xenc:ReferenceList><xenc:DataReference URI="#first.vhd"/></xenc:ReferenceList>
    </xenc11:DerivedKey>
  </EncryptionSection>
  <VirtualSystem ovf:id="vm"><Info>a machine</Info></VirtualSystem>
</Envelope>`

func TestTheStandardsExampleIsDecrypted(t *testing.T) {
	env, err := ovf.Parse(strings.NewReader(encrypted))
	if err != nil {
		t.Fatal(err)
	}
	files, err := env.EncryptedFiles()
	if err != nil || len(files) != 1 || files[0].FileID != "disk" {
		t.Fatalf("%+v, %v", files, err)
	}
	c, err := files[0].Cipher("password")
	if err != nil {
		t.Fatal(err)
	}
	// By another implementation: hashlib.pbkdf2_hmac("sha1", b"password", b"ovfpassword", 4096, 16).
	key, _ := hex.DecodeString(passwordKey)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	p := append([]byte("the disk's content"), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14) // any bytes, and how many
	vector := bytes.Repeat([]byte{7}, 16)
	cipher.NewCBCEncrypter(block, vector).CryptBlocks(p, p)
	have, err := io.ReadAll(c.Reader(bytes.NewReader(append(vector, p...))))
	if err != nil || string(have) != "the disk's content" {
		t.Errorf("it is %q, %v", have, err)
	}
}

// openssl decrypts what we encrypt, and we what it encrypts.
func TestOpenSSLAgrees(t *testing.T) {
	program := testenv.Need(t, "openssl")
	env, err := ovf.Parse(strings.NewReader(encrypted))
	if err != nil {
		t.Fatal(err)
	}
	files, err := env.EncryptedFiles()
	if err != nil {
		t.Fatal(err)
	}
	c, err := files[0].Cipher("password")
	if err != nil {
		t.Fatal(err)
	}
	plain := bytes.Repeat([]byte("0123456789"), 5000)
	run := func(mode string, vector, in []byte) []byte {
		name := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(name, in, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "enc", mode, "-aes-128-cbc", "-K", passwordKey, "-iv", hex.EncodeToString(vector), "-in", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	vector := bytes.Repeat([]byte{9}, 16)
	have, err := io.ReadAll(c.Reader(bytes.NewReader(append(bytes.Clone(vector), run("-e", vector, plain)...))))
	if err != nil || !bytes.Equal(have, plain) {
		t.Errorf("what openssl encrypted has %d bytes, %v", len(have), err)
	}
	ours := seal(t, c, plain)
	if have := run("-d", ours[:16], ours[16:]); !bytes.Equal(have, plain) {
		t.Errorf("openssl decrypts %d bytes", len(have))
	}
}

const passwordKey = "dbd8824321ef39566cacadc57fc6caf4"

func seal(t interface{ Fatal(...any) }, c *ovf.Cipher, plain []byte) []byte {
	var b bytes.Buffer
	w, err := c.Writer(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// simple is an envelope with one file.
func simple() *ovf.Envelope {
	return &ovf.Envelope{
		Files:   []ovf.File{{ID: "file1", Href: "disk1.img"}},
		Content: []ovf.Content{&ovf.VirtualSystem{ID: "web", Info: ovf.Plain("a machine")}},
	}
}

func TestWhatIsEncryptedIsDecrypted(t *testing.T) {
	env := simple()
	c, err := env.Encrypt("correct horse", "file1")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ovf.Write(&b, env, ovf.Version20); err != nil {
		t.Fatal(err)
	}
	again, err := ovf.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	files, err := again.EncryptedFiles()
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	right, err := files[0].Cipher("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := files[0].Cipher("battery staple")
	if err != nil {
		t.Fatal(err)
	}
	noticed := 0
	rapid.Check(t, func(t *rapid.T) {
		plain := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.SampledFrom([]int{0, 1, 15, 16, 17, 65535, 65536, 65537, 300000}).Draw(t, "length"))
		sealed := seal(t, c, plain)
		if int64(len(sealed)) != ovf.EncryptedSize(int64(len(plain))) || bytes.Contains(sealed, plain) && len(plain) > 20 {
			t.Fatalf("%d bytes became %d", len(plain), len(sealed))
		}
		have, err := io.ReadAll(iotest.HalfReader(right.Reader(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(sealed))))))
		if err != nil || !bytes.Equal(have, plain) {
			t.Fatalf("%d bytes, %v", len(have), err)
		}
		if _, err := io.ReadAll(wrong.Reader(bytes.NewReader(sealed))); errors.Is(err, ovf.ErrPassphrase) {
			noticed++
		}
		cut := sealed[:rapid.IntRange(0, 31).Draw(t, "cut")]
		if _, err := io.ReadAll(right.Reader(bytes.NewReader(cut))); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes of it: %v", len(cut), err)
		}
	})
	if noticed < 50 && !testing.Short() {
		t.Errorf("a wrong passphrase was noticed %d times", noticed)
	}
}

func TestKeysThatAreNotMade(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		want     any
	}{
		"too many iterations": {"4096", "2000000000", new(*ovf.FormatError)},
		"no iterations":       {"4096", "0", new(*ovf.FormatError)},
		"another algorithm":   {"xmlenc#aes128-cbc", "xmlenc#tripledes-cbc", new(*ovf.UnsupportedError)},
		"another derivation":  {"pkcs-5#pbkdf2", "pkcs-5#pbkdf9", new(*ovf.UnsupportedError)},
		"another length":      {"<KeyLength>16", "<KeyLength>32", new(*ovf.FormatError)},
		"a huge length":       {"<KeyLength>16", "<KeyLength>1000000000", new(*ovf.FormatError)},
		"no reference":        {`URI="#first.vhd"`, `URI="#second"`, new(*ovf.UnsupportedError)},
		"no salt":             {"ovfpassword", "", new(*ovf.FormatError)},
		"another function":    {"hmac-sha1", "hmac-md5", new(*ovf.UnsupportedError)},
	} {
		env, err := ovf.Parse(strings.NewReader(strings.Replace(encrypted, c.from, c.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		files, err := env.EncryptedFiles()
		if err == nil {
			_, err = files[0].Cipher("x")
		}
		if !errors.As(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := simple().Encrypt("x", "file2"); err == nil {
		t.Error("a file that is not there is encrypted")
	}
}

// A part of the descriptor is encrypted, as in the standard's second example.
func TestEncryptedDescriptors(t *testing.T) {
	env := parse(t, encrypted)
	files, err := env.EncryptedFiles()
	if err != nil {
		t.Fatal(err)
	}
	c, err := files[0].Cipher("password")
	if err != nil {
		t.Fatal(err)
	}
	const machine = `<VirtualSystem ovf:id="vm"><Info>a machine</Info></VirtualSystem>`
	part := `<xenc:EncryptedData Type="http://www.w3.org/2001/04/xmlenc#Element" Id="part"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
<xenc:CipherData><xenc:CipherValue>` + base64.StdEncoding.EncodeToString(seal(t, c, []byte(machine))) + `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>`
	text := strings.Replace(strings.Replace(encrypted, machine, part, 1), `<xenc:DataReference URI="#first.vhd"/>`, `<xenc:DataReference URI="#first.vhd"/><xenc:DataReference URI="#part"/>`, 1)
	if n := len(parse(t, text).Systems()); n != 0 {
		t.Errorf("without a passphrase there are %d machines", n)
	}
	have, err := ovf.ParseEncrypted(strings.NewReader(text), "password")
	if err != nil {
		t.Fatal(err)
	}
	if s := have.Systems(); len(s) != 1 || s[0].ID != "vm" || have.Version != ovf.Version20 {
		t.Errorf("the machines are %+v", s)
	}
	if files, err := have.EncryptedFiles(); err != nil || len(files) != 1 {
		t.Errorf("the files are %+v, %v", files, err)
	}
	if _, err := ovf.ParseEncrypted(strings.NewReader(text), "wrong"); !errors.Is(err, ovf.ErrPassphrase) {
		t.Errorf("with a wrong passphrase: %v", err)
	}
	if _, err := ovf.ParseEncrypted(strings.NewReader(strings.Replace(text, `URI="#part"`, `URI="#other"`, 1)), "password"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a key: %v", err)
	}
}
