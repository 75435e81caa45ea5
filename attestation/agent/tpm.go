package agent

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/google/go-attestation/attest"
	"github.com/google/go-tpm/legacy/tpm2"
	"github.com/google/go-tpm/tpmutil"

	"kuule/attestation/wire"
)

// DefaultTPM is the kernel's TPM with its resource manager.
const DefaultTPM = "/dev/tpmrm0"

// chip is a TPM 2.0: a device file or the socket of a software TPM. Objects are
// loaded for one operation and flushed after it, so that a machine without a
// resource manager never runs out of slots.
type chip struct {
	path   string
	socket bool
	mu     sync.Mutex
}

func openChip(path string) (*chip, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("TPM %s: %w", path, err)
	}
	return &chip{path: path, socket: st.Mode()&os.ModeSocket != 0}, nil
}

// flush removes what a program that was killed left loaded in a software TPM;
// on hardware the resource manager does that. Only the one program that works
// with the TPM may call it, before it begins.
func (c *chip) flush() error {
	if !c.socket {
		return nil
	}
	const transient = uint32(0x80000000) // TPM 2.0 Library Part 2, section 7.5
	rw := tpmutil.NewEmulatorReadWriteCloser(c.path)
	handles, _, err := tpm2.GetCapability(rw, tpm2.CapabilityHandles, 64, transient)
	if err != nil {
		return fmt.Errorf("TPM %s: list loaded objects: %w", c.path, err)
	}
	for _, v := range handles {
		h, ok := v.(tpmutil.Handle)
		if !ok {
			continue
		}
		if err := tpm2.FlushContext(rw, h); err != nil {
			return fmt.Errorf("TPM %s: flush: %w", c.path, err)
		}
	}
	return nil
}

// channel carries commands. go-attestation wants a measurement log too; the
// quotes of this program do not use one.
type channel struct{ io.ReadWriteCloser }

func (channel) MeasurementLog() ([]byte, error) { return nil, errors.New("no measurement log is read") }

// unclosed is a software TPM's socket: it takes a connection per command, so
// there is nothing to close in between.
type unclosed struct{ io.ReadWriter }

func (unclosed) Close() error { return nil }

// do runs f with the TPM, alone.
func (c *chip) do(f func(*attest.TPM) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var rw io.ReadWriteCloser
	if c.socket {
		rw = unclosed{tpmutil.NewEmulatorReadWriteCloser(c.path)}
	} else {
		var err error
		if rw, err = tpm2.OpenTPM(c.path); err != nil {
			return fmt.Errorf("TPM %s: %w", c.path, err)
		}
	}
	t, err := attest.OpenTPM(&attest.OpenConfig{CommandChannel: channel{rw}})
	if err != nil {
		return errors.Join(fmt.Errorf("TPM %s: %w", c.path, err), rw.Close())
	}
	return errors.Join(f(t), t.Close())
}

// endorsement returns the endorsement certificate in DER, the name that it
// gives the TPM, and what the TPM says of itself.
func (c *chip) endorsement() (der []byte, identifier string, info wire.TPMInfo, err error) {
	err = c.do(func(t *attest.TPM) error {
		eks, err := t.EKs()
		if err != nil {
			return fmt.Errorf("endorsement key: %w", err)
		}
		if len(eks) == 0 || eks[0].Certificate == nil {
			return errors.New("the TPM holds no endorsement certificate: ask the machine's maker for one")
		}
		der = eks[0].Certificate.Raw
		if identifier, err = wire.PermanentIdentifier(eks[0].Certificate.PublicKey); err != nil {
			return err
		}
		i, err := t.Info()
		if err != nil {
			return fmt.Errorf("TPM's properties: %w", err)
		}
		info = wire.TPMInfo{
			Version: 2, Manufacturer: i.Manufacturer.String(), Model: i.VendorInfo,
			FirmwareVersion: fmt.Sprintf("%d.%d", i.FirmwareVersionMajor, i.FirmwareVersionMinor),
		}
		return nil
	})
	return der, identifier, info, err
}

// newAttestationKey makes an attestation key. The blob loads it again, in this
// TPM only.
func (c *chip) newAttestationKey() (blob []byte, params wire.AttestParameters, err error) {
	err = c.do(func(t *attest.TPM) error {
		ak, err := t.NewAK(nil)
		if err != nil {
			return fmt.Errorf("make attestation key: %w", err)
		}
		p := ak.AttestationParameters()
		params = wire.AttestParameters{
			Public: p.Public, CreateData: p.CreateData, CreateAttestation: p.CreateAttestation, CreateSignature: p.CreateSignature,
		}
		blob, err = ak.Marshal()
		return errors.Join(err, ak.Close(t))
	})
	return blob, params, err
}

// activate opens a credential that was sealed to this TPM and attestation key.
func (c *chip) activate(ak []byte, cred wire.AttestResponse) (secret []byte, err error) {
	err = c.withAttestationKey(ak, func(t *attest.TPM, k *attest.AK) error {
		secret, err = k.ActivateCredential(t, attest.EncryptedCredential{Credential: cred.Credential, Secret: cred.Secret})
		return err
	})
	return secret, err
}

// attestedKey is a new device key with the proof that it was made in this TPM.
type attestedKey struct {
	blob                       []byte
	key                        *deviceKey
	public, created, signature []byte
}

// newDeviceKey makes a P-256 key and has the attestation key certify it over
// qualifying.
func (c *chip) newDeviceKey(ak, qualifying []byte) (a attestedKey, err error) {
	err = c.withAttestationKey(ak, func(t *attest.TPM, k *attest.AK) error {
		key, err := t.NewKey(k, &attest.KeyConfig{Algorithm: attest.ECDSA, Size: 256, QualifyingData: qualifying})
		if err != nil {
			return fmt.Errorf("make device key: %w", err)
		}
		pub, ok := key.Public().(*ecdsa.PublicKey)
		if !ok {
			return errors.Join(fmt.Errorf("the TPM made a %T", key.Public()), key.Close())
		}
		p := key.CertificationParameters()
		blob, err := key.Marshal()
		a = attestedKey{
			blob: blob, key: &deviceKey{chip: c, blob: blob, public: pub},
			public: p.Public, created: p.CreateAttestation, signature: p.CreateSignature,
		}
		return errors.Join(err, key.Close())
	})
	return a, err
}

// quote has the attestation key sign the registers over nonce.
func (c *chip) quote(ak, nonce []byte, registers []int) (q wire.Quote, err error) {
	err = c.withAttestationKey(ak, func(t *attest.TPM, k *attest.AK) error {
		signed, err := k.QuotePCRs(t, nonce, attest.HashSHA256, registers)
		if err != nil {
			return fmt.Errorf("quote: %w", err)
		}
		all, err := t.PCRs(attest.HashSHA256)
		if err != nil {
			return fmt.Errorf("read registers: %w", err)
		}
		q = wire.Quote{Quote: signed.Quote, Signature: signed.Signature}
		for _, n := range registers {
			if n < 0 || n >= len(all) {
				return fmt.Errorf("the TPM has no register %d", n)
			}
			q.PCRs = append(q.PCRs, wire.PCR{Index: n, Digest: all[n].Digest})
		}
		return nil
	})
	return q, err
}

func (c *chip) withAttestationKey(blob []byte, f func(*attest.TPM, *attest.AK) error) error {
	return c.do(func(t *attest.TPM) error {
		k, err := t.LoadAK(blob)
		if err != nil {
			return fmt.Errorf("load attestation key: was this state made with another TPM? %w", err)
		}
		return errors.Join(f(t, k), k.Close(t))
	})
}

// deviceKey signs inside the TPM. It is a crypto.Signer.
type deviceKey struct {
	chip   *chip
	blob   []byte
	public *ecdsa.PublicKey
}

// Public implements crypto.Signer.
func (k *deviceKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer.
func (k *deviceKey) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = k.chip.do(func(t *attest.TPM) error {
		key, err := t.LoadKey(k.blob)
		if err != nil {
			return fmt.Errorf("load device key: was this state made with another TPM? %w", err)
		}
		signature, err = k.sign(key, rand, digest, opts)
		return errors.Join(err, key.Close())
	})
	return signature, err
}

func (k *deviceKey) sign(key *attest.Key, rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if !k.public.Equal(key.Public()) {
		return nil, errors.New("the device key is not the one that the certificate names")
	}
	private, err := key.Private(k.public)
	if err != nil {
		return nil, err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("the device key cannot sign")
	}
	return signer.Sign(rand, digest, opts)
}
