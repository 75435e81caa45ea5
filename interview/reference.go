package interview

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"kuule/internal/problem"
)

// Reference is what stands on a participant's invitation: the last 40 bits of
// the participant's id, which are random, and a check symbol, in Crockford's
// base 32 (https://www.crockford.com/base32.html) without letters that look
// like digits. It finds a booking; it opens nothing by itself.
type Reference string

// alphabet is Crockford's, with the five symbols that only a check symbol uses.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"

// referenceDigits is how many symbols carry the number.
const referenceDigits = 8

// ReferenceOf is a participant's reference.
func ReferenceOf(id ParticipantID) Reference {
	if id.IsZero() {
		return ""
	}
	text := id.String()
	tail, err := hex.DecodeString(text[len(text)-10:])
	if err != nil {
		panic("participant id is not hexadecimal: " + err.Error()) // ids print so by construction
	}
	var n uint64
	for _, b := range tail {
		n = n<<8 | uint64(b)
	}
	var out [referenceDigits]byte
	for i := range out {
		out[i] = alphabet[n>>(5*(referenceDigits-1-i))&31]
	}
	return Reference(string(out[:4]) + "-" + string(out[4:]) + "-" + string(alphabet[n%37]))
}

// ParseReference reads a reference as people type it: small letters, spaces,
// missing hyphens, O for 0, I and L for 1. A mistyped symbol is
// CodeMalformed, by the check symbol.
func ParseReference(text string) (Reference, error) {
	wrong := problem.New(problem.CodeMalformed, "this is no reference of an invitation: eight letters or digits and one more to check them")
	if len(text) > 64 {
		return "", wrong
	}
	plain := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(text))
	if len(plain) != referenceDigits+1 {
		return "", wrong
	}
	var n uint64
	for _, r := range plain[:referenceDigits] {
		digit := strings.IndexRune(alphabet[:32], r)
		if digit < 0 {
			return "", wrong
		}
		n = n<<5 | uint64(digit)
	}
	if plain[referenceDigits] != alphabet[n%37] {
		return "", wrong
	}
	return Reference(plain[:4] + "-" + plain[4:8] + "-" + plain[8:]), nil
}

// number is the reference's forty bits as an id prints them.
func (r Reference) number() string {
	var n uint64
	for _, digit := range strings.ReplaceAll(string(r), "-", "")[:referenceDigits] {
		n = n<<5 | uint64(strings.IndexRune(alphabet[:32], digit))
	}
	return fmt.Sprintf("%010x", n)
}

// invited gives those who come by ticket the reference of their invitation.
func invited(p Participant) Participant {
	if p.Subject == "" {
		p.Reference = ReferenceOf(p.ID)
	}
	return p
}

// Invited finds the participant whose invitation carries the reference, among
// hearings whose door is open now or opens within ahead: CodeNotBooked where
// there is none. Two of one reference are answered as none, so that nobody is
// taken for somebody else.
func (s *Store) Invited(ctx context.Context, r Reference, now time.Time, ahead time.Duration) (ParticipantID, error) {
	if _, err := ParseReference(string(r)); err != nil {
		return ParticipantID{}, err
	}
	var rows []participantRow
	err := s.db.NewSelect().Model(&rows).
		Where("hearing_id IN (SELECT id FROM hearing WHERE closes_at > ? AND opens_at < ?)", now.UnixMilli(), now.Add(ahead).UnixMilli()).
		Where("substr(id, ?) = ?", len("par_")+36-9, r.number()).Limit(2).Scan(ctx)
	if err != nil {
		return ParticipantID{}, fmt.Errorf("find the booking of a reference: %w", err)
	}
	if len(rows) != 1 {
		return ParticipantID{}, problem.New(problem.CodeNotBooked, "nothing is booked under this reference now")
	}
	return rows[0].ID, nil
}
