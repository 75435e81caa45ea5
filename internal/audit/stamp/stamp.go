package stamp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"time"

	"github.com/smallstep/pkcs7"
)

// MaxAnswer bounds an answer in bytes.
const MaxAnswer = 256 << 10

// askTimeout is how long an authority may take.
const askTimeout = 30 * time.Second

// ErrStamp says that an answer does not stamp the text.
var ErrStamp = errors.New("the time stamp does not hold")

var (
	oidSHA256  = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidTSTInfo = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}
)

// Stamp is what an authority said.
type Stamp struct {
	At        time.Time // when the text was there at the latest
	Authority string    // the certificate's subject
	Serial    string    // of the stamp, in hex
}

type imprint struct {
	Algorithm pkix.AlgorithmIdentifier
	Hash      []byte
}

type request struct {
	Version int
	Imprint imprint
	Nonce   *big.Int
	CertReq bool
}

type response struct {
	Status struct {
		Status int
		Text   []string       `asn1:"optional,utf8"`
		Fail   asn1.BitString `asn1:"optional"`
	}
	Token asn1.RawValue `asn1:"optional"`
}

type accuracy struct {
	Seconds int `asn1:"optional"`
	Millis  int `asn1:"optional,tag:0"`
	Micros  int `asn1:"optional,tag:1"`
}

type info struct {
	Version  int
	Policy   asn1.ObjectIdentifier
	Imprint  imprint
	Serial   *big.Int
	At       asn1.RawValue
	Accuracy accuracy         `asn1:"optional"`
	Ordering bool             `asn1:"optional"`
	Nonce    *big.Int         `asn1:"optional"`
	TSA      asn1.RawValue    `asn1:"optional,explicit,tag:0"`
	More     []pkix.Extension `asn1:"optional,tag:1"`
}

func imprintOf(text []byte) imprint {
	sum := sha256.Sum256(text)
	return imprint{pkix.AlgorithmIdentifier{Algorithm: oidSHA256, Parameters: asn1.NullRawValue}, sum[:]}
}

// Ask has the authority at an address stamp a text, and gives its answer as it
// came once it holds.
func Ask(ctx context.Context, client *http.Client, address string, text []byte, roots *x509.CertPool) ([]byte, Stamp, error) {
	nonce, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, Stamp{}, err
	}
	question, err := asn1.Marshal(request{1, imprintOf(text), nonce, true})
	if err != nil {
		return nil, Stamp{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(question))
	if err != nil {
		return nil, Stamp{}, fmt.Errorf("ask for a time stamp: %w", err)
	}
	r.Header.Set("Content-Type", "application/timestamp-query")
	resp, err := client.Do(r)
	if err != nil {
		return nil, Stamp{}, fmt.Errorf("ask for a time stamp: %w", err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	switch {
	case err != nil:
		return nil, Stamp{}, fmt.Errorf("ask for a time stamp: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, Stamp{}, fmt.Errorf("ask for a time stamp: %s answered %s", address, resp.Status)
	}
	stamp, said, err := verify(answer, text, roots)
	if err == nil && (said == nil || said.Cmp(nonce) != 0) {
		err = fmt.Errorf("%w: it answers another question", ErrStamp)
	}
	if err != nil {
		return nil, Stamp{}, err
	}
	return answer, stamp, nil
}

// Verify checks an answer that was kept against its text.
func Verify(answer, text []byte, roots *x509.CertPool) (Stamp, error) {
	stamp, _, err := verify(answer, text, roots)
	return stamp, err
}

func verify(answer, text []byte, roots *x509.CertPool) (Stamp, *big.Int, error) {
	wrong := func(what string, err error) (Stamp, *big.Int, error) {
		if err != nil {
			return Stamp{}, nil, fmt.Errorf("%w: %s: %w", ErrStamp, what, err)
		}
		return Stamp{}, nil, fmt.Errorf("%w: %s", ErrStamp, what)
	}
	if len(answer) > MaxAnswer {
		return wrong(fmt.Sprintf("it is longer than %d bytes", MaxAnswer), nil)
	}
	var resp response
	if rest, err := asn1.Unmarshal(answer, &resp); err != nil || len(rest) > 0 {
		return wrong("it cannot be read", err)
	}
	if resp.Status.Status > 1 || len(resp.Token.FullBytes) == 0 { // granted, or granted with changes
		return wrong(fmt.Sprintf("the authority refused: status %d %v", resp.Status.Status, resp.Status.Text), nil)
	}
	token, err := pkcs7.Parse(resp.Token.FullBytes)
	if err != nil {
		return wrong("its token cannot be read", err)
	}
	var kind asn1.ObjectIdentifier
	if err := token.UnmarshalSignedAttribute(pkcs7.OIDAttributeContentType, &kind); err != nil || !kind.Equal(oidTSTInfo) {
		return wrong("what is signed is no time stamp", err)
	}
	var said info
	if rest, err := asn1.Unmarshal(token.Content, &said); err != nil || len(rest) > 0 {
		return wrong("what is signed cannot be read", err)
	}
	at, err := time.Parse("20060102150405.999999999Z", string(said.At.Bytes))
	if err != nil || said.At.Tag != asn1.TagGeneralizedTime {
		return wrong("its time cannot be read", err)
	}
	signer := token.GetOnlySigner()
	if signer == nil || !slices.Contains(signer.ExtKeyUsage, x509.ExtKeyUsageTimeStamping) || len(signer.ExtKeyUsage)+len(signer.UnknownExtKeyUsage) != 1 {
		return wrong("it is not signed by one certificate that is made for time stamps", nil)
	}
	// The chain as it was when the stamp was given: a certificate that is over
	// since takes nothing from it.
	if err := token.VerifyWithChainAtTime(roots, at); err != nil {
		return wrong("signature", err)
	}
	want := imprintOf(text)
	if !said.Imprint.Algorithm.Algorithm.Equal(oidSHA256) || !bytes.Equal(said.Imprint.Hash, want.Hash) {
		return wrong("it is of another text", nil)
	}
	return Stamp{At: at, Authority: signer.Subject.String(), Serial: said.Serial.Text(16)}, said.Nonce, nil
}
