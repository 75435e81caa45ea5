package emrtdtest

import (
	"crypto"
	_ "crypto/md5" // with which no document is signed: for forgers
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	_ "crypto/sha256" // every hash that documents are signed with
	_ "crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// Signing is how a document signer signs.
type Signing struct {
	Key      string      // RSA, or a curve's name
	Hash     crypto.Hash // of signed attributes and content
	Groups   crypto.Hash // of data groups; 0: the same
	PSS      bool        // RSA with probabilistic padding; otherwise PKCS #1
	PSSKey   bool        // the key itself says that it is for PSS
	Explicit bool        // the key spells its curve out
	Plain    bool        // ECDSA with both halves side by side (BSI TR-03111)
	KeyID    bool        // the signer is named by key identifier; otherwise by issuer and serial number

	Purposes []asn1.ObjectIdentifier // extended key usage of the signer's certificate
	Limited  bool                    // a critical extension that nobody knows

	// What forgers do to the object.
	GroupTwice bool // group 2 is listed a second time, with the hash of another portrait
	NoTime     bool // no signing time
	OtherBase  bool // the key's curve is explicit with a base point of the forger's choice
}

// RSA is the Signing.Key of 2048 bits.
const RSA = "RSA"

// SignAs has the state's passports from now on signed in another way.
func (s *State) SignAs(how Signing) { s.signing = how }

func (h Scheme) signing() Signing {
	if h == RSAPSS {
		return Signing{Key: RSA, Hash: crypto.SHA256, PSS: true}
	}
	return Signing{Key: P256, Hash: crypto.SHA256}
}

// oneRSA is the key of all signers with RSA in this process: making one takes a
// while.
var oneRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// signer is a document signer: certificate, key and the time it claims.
type signer struct {
	cert, issuer, ski []byte
	serial            *big.Int
	at                time.Time
	how               Signing

	rsa   *rsa.PrivateKey
	curve *weierstrass
	d     *big.Int
}

var (
	hashes = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.MD5:    {1, 2, 840, 113549, 2, 5},
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	pkcs1By = map[crypto.Hash]int{crypto.SHA1: 5, crypto.SHA224: 14, crypto.SHA256: 11, crypto.SHA384: 12, crypto.SHA512: 13}
	ecdsaBy = map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 2, 840, 10045, 4, 1},
		crypto.SHA224: {1, 2, 840, 10045, 4, 3, 1},
		crypto.SHA256: {1, 2, 840, 10045, 4, 3, 2},
		crypto.SHA384: {1, 2, 840, 10045, 4, 3, 3},
		crypto.SHA512: {1, 2, 840, 10045, 4, 3, 4},
	}
	plainBy = map[crypto.Hash]int{crypto.SHA1: 1, crypto.SHA224: 2, crypto.SHA256: 3, crypto.SHA384: 4, crypto.SHA512: 5}
)

func sumOf(h crypto.Hash, b []byte) []byte {
	w := h.New()
	w.Write(b)
	return w.Sum(nil)
}

func algorithm(oid asn1.ObjectIdentifier) pkix.AlgorithmIdentifier {
	return pkix.AlgorithmIdentifier{Algorithm: oid}
}

// makeKey gives the signer its key and returns the public half as a certificate
// has it.
func (d *signer) makeKey(e *encoder) ([]byte, error) {
	var err error
	if d.how.Key == RSA {
		if d.rsa, err = oneRSA(); err != nil {
			return nil, err
		}
		id := algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})
		id.Parameters = asn1.NullRawValue
		if d.how.PSSKey {
			id = algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
		}
		key := e.der(struct {
			N *big.Int
			E int
		}{d.rsa.N, d.rsa.E})
		return e.der(struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}{id, asn1.BitString{Bytes: key, BitLength: 8 * len(key)}}), nil
	}
	if d.curve, err = curveByName(d.how.Key); err != nil {
		return nil, err
	}
	if d.d, err = d.curve.secret(); err != nil {
		return nil, err
	}
	shown := *d.curve
	if d.how.OtherBase { // the same public key under another base: of a private key that the forger knows
		shown.base = d.curve.times(big.NewInt(2), d.curve.base)
	}
	key := d.curve.publicKey(e, d.d, false)
	key.Algorithm.Parameters = shown.parameters(e, d.how.Explicit || d.how.OtherBase)
	return e.der(key), nil
}

// sign signs as the signer's certificate allows.
func (d *signer) sign(msg []byte, e *encoder) ([]byte, pkix.AlgorithmIdentifier, error) {
	h := d.how.Hash
	sum := sumOf(h, msg)
	switch {
	case d.rsa != nil && !d.how.PSS:
		sig, err := rsa.SignPKCS1v15(rand.Reader, d.rsa, h, sum)
		id := algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, pkcs1By[h]})
		id.Parameters = asn1.NullRawValue
		return sig, id, err
	case d.rsa != nil:
		sig, err := rsa.SignPSS(rand.Reader, d.rsa, h, sum, &rsa.PSSOptions{SaltLength: h.Size(), Hash: h})
		hash := algorithm(hashes[h])
		id := algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10})
		mask := algorithm(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 8})
		mask.Parameters = e.raw(hash)
		id.Parameters = e.raw(struct {
			Hash pkix.AlgorithmIdentifier `asn1:"explicit,tag:0"`
			MGF  pkix.AlgorithmIdentifier `asn1:"explicit,tag:1"`
			Salt int                      `asn1:"explicit,tag:2"`
		}{hash, mask, h.Size()})
		return sig, id, err
	}
	sig, err := d.curve.sign(d.d, sum)
	if err != nil || d.how.Plain {
		return sig, algorithm(asn1.ObjectIdentifier{0, 4, 0, 127, 0, 7, 1, 1, 4, 1, plainBy[h]}), err
	}
	n := len(sig) / 2
	return e.der(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:])}), algorithm(ecdsaBy[h]), nil
}

// validity is what a signer's certificate says of times.
type validity struct {
	from, until time.Time
	keyUntil    time.Time // of the private key; zero: not said
	at          time.Time // of signing
}

// newSigner issues a document signer's certificate (9303-12, 7.1).
func (s *State) newSigner(v validity) (*signer, error) {
	d := &signer{at: v.at, how: s.signing, issuer: s.root.RawSubject}
	var e encoder
	key, err := d.makeKey(&e)
	if err != nil {
		return nil, err
	}
	id := sha1.Sum(key)
	d.ski = id[:]
	if d.serial, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64)); err != nil {
		return nil, err
	}
	d.serial.Add(d.serial, big.NewInt(2))
	extension := func(last int, critical bool, value any) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, last}, Critical: critical, Value: e.der(value)}
	}
	extensions := []pkix.Extension{
		extension(35, false, struct {
			Key []byte `asn1:"tag:0"`
		}{s.root.SubjectKeyId}),
		extension(14, false, d.ski),
		extension(15, true, asn1.BitString{Bytes: []byte{0x80}, BitLength: 1}),
	}
	if !v.keyUntil.IsZero() {
		extensions = append(extensions, extension(16, false, struct {
			From  time.Time `asn1:"generalized,tag:0"`
			Until time.Time `asn1:"generalized,tag:1"`
		}{v.from, v.keyUntil}))
	}
	if d.how.Purposes != nil {
		extensions = append(extensions, extension(37, true, d.how.Purposes))
	}
	if d.how.Limited {
		extensions = append(extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: e.der(true)})
	}
	byState := algorithm(ecdsaBy[crypto.SHA384])
	name := pkix.Name{Country: []string{s.Alpha2}, Organization: []string{"Test documents"}, CommonName: "DS " + s.Alpha3}
	tbs := e.der(struct {
		Version    int `asn1:"explicit,tag:0"`
		Serial     *big.Int
		Algorithm  pkix.AlgorithmIdentifier
		Issuer     asn1.RawValue
		Validity   struct{ From, Until time.Time }
		Subject    pkix.RDNSequence
		Key        asn1.RawValue
		Extensions []pkix.Extension `asn1:"explicit,tag:3"`
	}{
		2, d.serial, byState, asn1.RawValue{FullBytes: s.root.RawSubject}, struct{ From, Until time.Time }{v.from, v.until},
		name.ToRDNSequence(), asn1.RawValue{FullBytes: key}, extensions,
	})
	sig, err := s.rootK.Sign(rand.Reader, sumOf(crypto.SHA384, tbs), crypto.SHA384)
	if err != nil {
		return nil, fmt.Errorf("issue a document signer: %w", err)
	}
	d.cert = e.der(struct {
		TBS       asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}{asn1.RawValue{FullBytes: tbs}, byState, asn1.BitString{Bytes: sig, BitLength: 8 * len(sig)}})
	return d, e.err
}
