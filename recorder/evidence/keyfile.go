package evidence

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/recorder/journal"
)

// MaxKeyFile bounds a key file in bytes.
const MaxKeyFile = 64 << 10

// KeyFileName is what a key file is called beside the opened tracks.
const KeyFileName = "recording-keys.json"

// ErrKeyFile says that a text is no key file, or not for this hearing.
var ErrKeyFile = errors.New("key file does not hold")

// keyFile is what a named recipient gets apart from a bundle, so that it opens:
// the data keys of exactly the recordings that this recipient may see.
type keyFile struct {
	V         int                 `json:"v"` // 1
	Recipient string              `json:"recipient"`
	Hearing   interview.HearingID `json:"hearing"`
	Keys      []keyFileEntry      `json:"keys"`
}

type keyFileEntry struct {
	Recording interview.RecordingID `json:"recording"`
	Key       string                `json:"key"` // base64url
}

// MakeKeyFile writes unwrapped data keys for a recipient. The text is secret.
func MakeKeyFile(recipient string, h interview.HearingID, keys map[interview.RecordingID][]byte) ([]byte, error) {
	f := keyFile{V: 1, Recipient: recipient, Hearing: h, Keys: []keyFileEntry{}}
	if recipient == "" || h.IsZero() || len(keys) == 0 {
		return nil, fmt.Errorf("%w: recipient, hearing and a key are all needed", ErrKeyFile)
	}
	for r, k := range keys {
		if len(k) != journal.DataKeyBytes {
			return nil, fmt.Errorf("%w: key of %s has %d bytes", ErrKeyFile, r, len(k))
		}
		f.Keys = append(f.Keys, keyFileEntry{r, base64.RawURLEncoding.EncodeToString(k)})
	}
	slices.SortFunc(f.Keys, func(a, b keyFileEntry) int {
		return strings.Compare(a.Recording.String(), b.Recording.String())
	})
	return canon.Marshal(f)
}

// ParseKeyFile reads what MakeKeyFile wrote, for Options.Keys.
func ParseKeyFile(text []byte) (recipient string, h interview.HearingID, keys map[interview.RecordingID]journal.DataKey, err error) {
	var f keyFile
	if len(text) > MaxKeyFile {
		return "", h, nil, fmt.Errorf("%w: larger than %d bytes", ErrKeyFile, MaxKeyFile)
	}
	// What the reader says of a text that does not read may quote a key: not here.
	if canon.Unmarshal(text, &f) != nil || f.V != 1 || f.Recipient == "" || f.Hearing.IsZero() || len(f.Keys) == 0 {
		return "", h, nil, fmt.Errorf("%w: malformed", ErrKeyFile)
	}
	keys = map[interview.RecordingID]journal.DataKey{}
	for _, e := range f.Keys {
		raw, err := base64.RawURLEncoding.DecodeString(e.Key)
		if err != nil || e.Recording.IsZero() || !keys[e.Recording].IsZero() {
			return "", h, nil, fmt.Errorf("%w: malformed or repeated key", ErrKeyFile)
		}
		if keys[e.Recording], err = journal.ParseDataKey(raw); err != nil {
			return "", h, nil, fmt.Errorf("%w: %w", ErrKeyFile, err)
		}
	}
	return f.Recipient, f.Hearing, keys, nil
}

// OpenedHelp says how an opened bundle is used; it stands beside it in clear.
const OpenedHelp = `evidence.zip is the sealed evidence of one hearing. Whoever has the trust
file of the installation can check it; it tells nothing of what was said:

    kuule verify --trust trust.keys evidence.zip

recording.tar.age is for one named recipient, in the age format
(https://age-encryption.org/v1; in Debian: apt install age). Open it with the
passphrase that was given apart from this medium, or with the recipient's key:

    age --decrypt --output recording.tar recording.tar.age
    tar xf recording.tar

It holds a WebM for each voice and picture, which every usual player plays, and
` + KeyFileName + `, with which every frame of the bundle is opened and held
against what its sender signed:

    kuule verify --trust trust.keys --keys ` + KeyFileName + ` evidence.zip

The key file opens the recordings of this hearing and nothing else. It is as
secret as the hearing: keep it no longer than the files.
`
