package gateway

import (
	"crypto/ecdh"
	"encoding/base64"
	"net/http"
	"regexp"
	"time"

	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/interview"
	"kuule/interview/sealing"
)

const maxSeats = 8 // on one device

var fingerprint = regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`)

// pageStatement is what the page says of itself. What the device says (which
// device, what kind, when) is not the page's to say.
type pageStatement struct {
	Hearing   interview.HearingID `json:"hearing"`
	Member    interview.MemberID  `json:"member"`
	Seats     []interview.SeatID  `json:"seats"`
	HPKEKey   string              `json:"hpke_key"`
	SignKey   string              `json:"sign_key"`
	DTLS      string              `json:"dtls"`
	ExpiresAt int64               `json:"exp"`
}

type statementAnswer struct {
	Statement string        `json:"statement"`
	Proof     *signin.Proof `json:"proof,omitempty"` // of the person signed in; relayed in the join message, never kept
}

// postStatement signs the page's statement with the device's key.
func (g *Gateway) postStatement(w http.ResponseWriter, r *http.Request) {
	var in pageStatement
	if err := read(w, r, &in); err != nil {
		g.refuse(w, r, err)
		return
	}
	st, err := in.complete(g.cfg.Device.ID, time.Now())
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	signed, err := g.sign(st, sealing.TypeStatement)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	out := statementAnswer{Statement: signed}
	if who, proof := g.signedIn(sessionOf(r)); who != nil {
		out.Proof = &proof
	}
	answer(w, out)
}

// sign signs with the device's key what a page asked for, at a bounded rate.
func (g *Gateway) sign(payload any, typ string) (string, error) {
	if !g.signRate.Allow() {
		return "", problem.New(problem.CodeTooFast, "too many signatures in a short time")
	}
	signed, err := g.cfg.Signer.SignStatement(payload, typ)
	if err != nil {
		return "", problem.New(problem.CodeUnavailable, "the device's key does not sign: %w", err)
	}
	return signed, nil
}

// complete checks what the page said and adds what the device says.
func (in pageStatement) complete(device interview.DeviceID, now time.Time) (sealing.Statement, error) {
	bad := func(format string, args ...any) (sealing.Statement, error) {
		return sealing.Statement{}, problem.New(problem.CodeStatementInvalid, format, args...)
	}
	if in.Hearing.IsZero() || in.Member.IsZero() {
		return bad("hearing and member are both needed")
	}
	if len(in.Seats) == 0 || len(in.Seats) > maxSeats {
		return bad("a page sits on 1 to %d seats", maxSeats)
	}
	seen := map[interview.SeatID]bool{}
	for _, s := range in.Seats {
		if s.IsZero() || seen[s] {
			return bad("a seat is named twice or not at all")
		}
		seen[s] = true
	}
	if !isPoint(in.HPKEKey) || !isPoint(in.SignKey) {
		return bad("page keys must be P-256 points")
	}
	if in.HPKEKey == in.SignKey {
		return bad("page keys must be two keys")
	}
	if !fingerprint.MatchString(in.DTLS) {
		return bad("dtls must be a SHA-256 fingerprint, AA:BB:…")
	}
	expires := time.Unix(in.ExpiresAt, 0)
	if !expires.After(now) || expires.After(now.Add(sealing.MaxStatementHours*time.Hour)) {
		return bad("exp must lie within the next %d hours", sealing.MaxStatementHours)
	}
	return sealing.Statement{
		V: 1, Kind: sealing.KindPage, Hearing: in.Hearing, Member: in.Member, Device: device, Seats: in.Seats,
		HPKEKey: in.HPKEKey, SignKey: in.SignKey, DTLS: in.DTLS, IssuedAt: now.Unix(), ExpiresAt: in.ExpiresAt,
	}, nil
}

func isPoint(text string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(b) != text {
		return false
	}
	_, err = ecdh.P256().NewPublicKey(b)
	return err == nil && len(b) == 65
}
