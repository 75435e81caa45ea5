package wire

import (
	"errors"
	"fmt"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/interview"
)

// Bounds of what travels.
const (
	MaxRequest = 64 << 10 // one enrolment request or posture message, in bytes
	NonceSize  = 32       // of a posture challenge, in bytes
	MaxPCR     = 23       // highest register that a quote may cover
)

// ErrMessage says that a posture message cannot be read.
var ErrMessage = errors.New("malformed posture message")

// TPMInfo is what the device says of its own TPM: for the log only, the
// endorsement certificate decides.
type TPMInfo struct {
	Version         int    `json:"version"`
	Manufacturer    string `json:"manufacturer"`
	Model           string `json:"model"`
	FirmwareVersion string `json:"firmwareVersion"`
}

// AttestParameters prove how an attestation key was made: the TPM's own
// structures of the key, its creation and the certification of it.
type AttestParameters struct {
	Public                  []byte `json:"public"`
	UseTCSDActivationFormat bool   `json:"useTCSDActivationFormat,omitempty"`
	CreateData              []byte `json:"createData"`
	CreateAttestation       []byte `json:"createAttestation"`
	CreateSignature         []byte `json:"createSignature"`
}

// AttestRequest asks for a certificate of an attestation key. The names follow
// go.step.sm/crypto/tpm/attestation, so that its client works too.
type AttestRequest struct {
	TPMInfo TPMInfo          `json:"tpmInfo"`
	EK      []byte           `json:"ek,omitempty"` // ignored: the key is taken from the certificate
	EKCerts [][]byte         `json:"ekCerts"`
	AKCert  []byte           `json:"akCert,omitempty"` // ignored
	Params  AttestParameters `json:"params"`
}

// AttestResponse is a credential that only the TPM with that endorsement key
// and that attestation key can open (TPM2_ActivateCredential).
type AttestResponse struct {
	Credential []byte `json:"credential"`
	Secret     []byte `json:"secret"`
}

// SecretRequest shows that the credential was opened.
type SecretRequest struct {
	Secret []byte `json:"secret"`
}

// SecretResponse is the attestation key's certificate with its issuers, leaf
// first, in DER.
type SecretResponse struct {
	Chain [][]byte `json:"chain"`
}

// PCR is one platform configuration register, SHA-256 bank.
type PCR struct {
	Index  int    `json:"index"`
	Digest []byte `json:"digest"`
}

// Quote is a TPM's signed statement of its registers, bound to a nonce. It
// names no key: the verifier knows which one must have signed.
type Quote struct {
	Quote     []byte `json:"quote"`     // TPMS_ATTEST
	Signature []byte `json:"signature"` // TPMT_SIGNATURE
	PCRs      []PCR  `json:"pcrs"`
}

// Kinds of messages on the posture connection.
const (
	KindHello       = "hello"       // device: its cosigning key, once
	KindChallenge   = "challenge"   // server: quote these registers over this nonce
	KindQuote       = "quote"       // device
	KindVerdict     = "verdict"     // server: what the quote was found to be
	KindCosign      = "cosign"      // server: a log checkpoint with its proof of consistency
	KindCosignature = "cosignature" // device
	KindRefused     = "refused"     // device: will not do what was asked
)

// Message is one message of the posture connection. Exactly the member that
// its kind names is set.
type Message struct {
	Kind        string            `json:"kind"`
	Hello       *Hello            `json:"hello,omitempty"`
	Challenge   *Challenge        `json:"challenge,omitempty"`
	Quote       *NoncedQuote      `json:"quote,omitempty"`
	Verdict     *Verdict          `json:"verdict,omitempty"`
	Cosign      *Cosign           `json:"cosign,omitempty"`
	Cosignature *Cosignature      `json:"cosignature,omitempty"`
	Refused     *problem.Document `json:"refused,omitempty"`
}

// Hello presents the device's cosigning key.
type Hello struct {
	Cosigner string `json:"cosigner"` // compact JWS of type CosignerType over Cosigner
}

// CosignerType is the JWS type under which a device key vouches for its
// cosigning key.
const CosignerType = "kuule-cosigner+jws"

// Cosigner is what the device key says of the cosigning key.
type Cosigner struct {
	DeviceID            interview.DeviceID `json:"device_id"`
	PermanentIdentifier string             `json:"permanent_identifier"`
	Key                 string             `json:"key"`       // verifier key, https://c2sp.org/signed-note
	IssuedAt            int64              `json:"issued_at"` // Unix seconds
}

// Challenge asks for a quote.
type Challenge struct {
	Nonce []byte `json:"nonce"`
	PCRs  []int  `json:"pcrs"`
}

// NoncedQuote answers a challenge.
type NoncedQuote struct {
	Nonce []byte `json:"nonce"`
	Quote Quote  `json:"quote"`
}

// Verdict tells the device what its quote was found to be.
type Verdict struct {
	Verified bool         `json:"verified"`
	Code     problem.Code `json:"code,omitempty"`
	Detail   string       `json:"detail,omitempty"`
}

// Cosign asks for a cosignature on a log checkpoint
// (https://c2sp.org/tlog-checkpoint). Proof shows that the log at OldSize,
// which the device cosigned last, is a prefix of it.
type Cosign struct {
	ID         string   `json:"id"`
	Checkpoint string   `json:"checkpoint"` // signed note
	OldSize    uint64   `json:"old_size"`
	Proof      [][]byte `json:"proof,omitempty"`
}

// Cosignature answers Cosign, or says why not.
type Cosignature struct {
	ID   string       `json:"id"`
	Line string       `json:"line,omitempty"` // signature line, https://c2sp.org/tlog-cosignature
	Code problem.Code `json:"code,omitempty"`
	Size uint64       `json:"size"` // the size that the device cosigned last
}

// ReadMessage reads one message, strictly: unknown fields, a second member or
// the wrong one for the kind are refused.
func ReadMessage(text []byte) (Message, error) {
	if len(text) > MaxRequest {
		return Message{}, fmt.Errorf("%w: longer than %d bytes", ErrMessage, MaxRequest)
	}
	var m Message
	if err := canon.Strict(text, &m); err != nil {
		return Message{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	members := map[string]bool{
		KindHello: m.Hello != nil, KindChallenge: m.Challenge != nil, KindQuote: m.Quote != nil, KindVerdict: m.Verdict != nil,
		KindCosign: m.Cosign != nil, KindCosignature: m.Cosignature != nil, KindRefused: m.Refused != nil,
	}
	set := 0
	for _, ok := range members {
		if ok {
			set++
		}
	}
	if set != 1 || !members[m.Kind] {
		return Message{}, fmt.Errorf("%w: kind %q does not match its content", ErrMessage, m.Kind)
	}
	return m, nil
}
