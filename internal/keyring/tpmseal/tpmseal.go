package tpmseal

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/linuxtpm"
	"github.com/google/go-tpm/tpm2/transport/linuxudstpm"

	"kuule/internal/keyring"
)

// Device is a TPM's path: a character device, or a socket of a software TPM
// ("unix:PATH").
type Device string

// Default is the kernel's resource manager.
const Default Device = "/dev/tpmrm0"

// ErrState says that the TPM does not open what it sealed: this is another
// machine, or it booted in another state.
var ErrState = errors.New("the TPM does not open the keyring: another machine, or another boot state than at sealing")

// bootState is the register that counts.
const bootState = 7

type sealed struct {
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
}

func (d Device) open() (transport.TPMCloser, error) {
	path := string(d)
	if path == "" {
		path = string(Default)
	}
	if socket, ok := cut(path, "unix:"); ok {
		return linuxudstpm.Open(socket)
	}
	return linuxtpm.Open(path)
}

func cut(path, prefix string) (string, bool) {
	if len(path) > len(prefix) && path[:len(prefix)] == prefix {
		return path[len(prefix):], true
	}
	return path, false
}

// with opens the TPM and its storage root key for one operation.
func (d Device) with(do func(transport.TPM, *tpm2.CreatePrimaryResponse) error) (err error) {
	t, err := d.open()
	if err != nil {
		return fmt.Errorf("open TPM %s: %w", d, err)
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	root, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return fmt.Errorf("TPM's storage root key: %w", err)
	}
	defer func() { _, _ = tpm2.FlushContext{FlushHandle: root.ObjectHandle}.Execute(t) }()
	return do(t, root)
}

func registers() tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(bootState)}}}
}

// policy is what has to hold at opening.
func policy(t transport.TPM, session tpm2.TPMISHPolicy, _ tpm2.TPM2BNonce) error {
	_, err := tpm2.PolicyPCR{PolicySession: session, Pcrs: registers()}.Execute(t)
	return err
}

// digest computes the policy's digest for the state of now.
func digest(t transport.TPM) (tpm2.TPM2BDigest, error) {
	session, closer, err := tpm2.PolicySession(t, tpm2.TPMAlgSHA256, 16, tpm2.Trial())
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	defer func() { _ = closer() }()
	if err := policy(t, session.Handle(), tpm2.TPM2BNonce{}); err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	out, err := tpm2.PolicyGetDigest{PolicySession: session.Handle()}.Execute(t)
	if err != nil {
		return tpm2.TPM2BDigest{}, err
	}
	return out.PolicyDigest, nil
}

// Seal implements keyring.Sealer.
func (d Device) Seal(secret []byte) (out []byte, err error) {
	err = d.with(func(t transport.TPM, root *tpm2.CreatePrimaryResponse) error {
		must, err := digest(t)
		if err != nil {
			return fmt.Errorf("TPM's policy: %w", err)
		}
		made, err := tpm2.Create{
			ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret}),
			}},
			InPublic: tpm2.New2B(tpm2.TPMTPublic{
				Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
				ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true},
				AuthPolicy:       must,
			}),
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("TPM does not seal: %w", err)
		}
		out, err = json.Marshal(sealed{Public: tpm2.Marshal(made.OutPublic), Private: tpm2.Marshal(made.OutPrivate)})
		return err
	})
	return out, err
}

// Unseal implements keyring.Sealer.
func (d Device) Unseal(kept []byte) (secret []byte, err error) {
	var s sealed
	if err := json.Unmarshal(kept, &s); err != nil {
		return nil, fmt.Errorf("what the TPM sealed cannot be read: %w", err)
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](s.Public)
	if err != nil {
		return nil, fmt.Errorf("what the TPM sealed cannot be read: %w", err)
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](s.Private)
	if err != nil {
		return nil, fmt.Errorf("what the TPM sealed cannot be read: %w", err)
	}
	err = d.with(func(t transport.TPM, root *tpm2.CreatePrimaryResponse) error {
		loaded, err := tpm2.Load{
			ParentHandle: tpm2.AuthHandle{Handle: root.ObjectHandle, Name: root.Name, Auth: tpm2.PasswordAuth(nil)},
			InPublic:     *public, InPrivate: *private,
		}.Execute(t)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		defer func() { _, _ = tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(t) }()
		rootPublic, err := root.OutPublic.Contents()
		if err != nil {
			return err
		}
		opened, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{
			Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, policy),
		}}.Execute(t, tpm2.HMAC(tpm2.TPMAlgSHA256, 16, tpm2.AESEncryption(128, tpm2.EncryptOut), tpm2.Salted(root.ObjectHandle, *rootPublic)))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrState, err)
		}
		secret = opened.OutData.Buffer
		return nil
	})
	return secret, err
}

var _ keyring.Sealer = Device("")
