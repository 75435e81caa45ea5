package playback

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"filippo.io/age"
	"golang.org/x/sys/unix"
)

// MinPassphrase is how long the passphrase of a sealed medium is at least, in
// bytes.
const MinPassphrase = 16

// ErrRecipient says that nobody was named who can open a sealed medium.
var ErrRecipient = errors.New("a sealed medium needs a passphrase of 16 characters or more, or a recipient's age key")

// Recipient makes who can open a sealed medium: whoever has the passphrase, or
// the key (age1…). Exactly one is given.
func Recipient(passphrase, key string) (age.Recipient, error) {
	switch {
	case key != "" && passphrase == "":
		r, err := age.ParseX25519Recipient(key)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecipient, err)
		}
		return r, nil
	case key == "" && len(passphrase) >= MinPassphrase:
		return age.NewScryptRecipient(passphrase)
	}
	return nil, ErrRecipient
}

// Seal writes a hearing for hand-over on a disc or stick (H7): an age file
// (https://age-encryption.org/v1) with a tar archive inside that holds a WebM
// for each lane, their hashes and what to do with them. Times in the archive
// are made; the rest follows from the recordings. Out is not closed.
func Seal(ctx context.Context, out io.Writer, to age.Recipient, made time.Time, journals ...Journal) (Report, error) {
	overview, err := Survey(ctx, journals...)
	if err != nil {
		return Report{Overview: overview}, err
	}
	report := Report{Overview: overview}
	sealed, err := age.Encrypt(out, to)
	if err != nil {
		return report, fmt.Errorf("seal: %w", err)
	}
	archive := tar.NewWriter(sealed)
	put := func(name string, size int64, from io.Reader) error {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: made.UTC().Truncate(time.Second), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err := io.Copy(archive, from)
		return err
	}
	var sums, list strings.Builder
	for i, l := range overview.Lanes {
		if err := ctx.Err(); err != nil {
			return report, err
		}
		if l.Source != "audio" && l.Width == 0 {
			continue
		}
		// In memory, in no folder: nothing decrypted touches the disk.
		fd, err := unix.MemfdCreate("lane", unix.MFD_CLOEXEC)
		if err != nil {
			return report, fmt.Errorf("seal: %w", err)
		}
		f := os.NewFile(uintptr(fd), "lane")
		name := LaneFile(i, l)
		err = func() error {
			defer f.Close()
			r, err := Export(ctx, f, Options{Only: only(i)}, journals...)
			if err != nil {
				return err
			}
			report.Lanes, report.Written = append(report.Lanes, r.Lanes...), report.Written+r.Written
			report.Silent, report.Dropped = report.Silent+r.Silent, report.Dropped+r.Dropped
			h := sha256.New()
			size, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62))
			if err != nil {
				return err
			}
			fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
			fmt.Fprintf(&list, "%-40s begins %s into the hearing\n", name, time.Duration(r.Base)*time.Microsecond)
			return put(name, size, io.NewSectionReader(f, 0, size))
		}()
		if err != nil {
			return report, fmt.Errorf("seal: %s: %w", name, err)
		}
	}
	if len(report.Lanes) == 0 {
		return report, ErrNothing
	}
	readme := fmt.Sprintf(sealedReadme, list.String())
	for _, f := range [][2]string{{"README.txt", readme}, {"SHA256SUMS", sums.String()}} {
		if err := put(f[0], int64(len(f[1])), strings.NewReader(f[1])); err != nil {
			return report, fmt.Errorf("seal: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), sealed.Close()); err != nil {
		return report, fmt.Errorf("seal: %w", err)
	}
	return report, nil
}

// only chooses the n-th lane.
func only(n int) func(Lane) bool {
	i := -1
	return func(Lane) bool { i++; return i == n }
}

// LaneFile names a lane's file: number, roles and source.
func LaneFile(n int, l Lane) string {
	words := strings.FieldsFunc(strings.ToLower(l.Name), func(r rune) bool { return (r < 'a' || r > 'z') && r != '-' })
	return fmt.Sprintf("%02d-%s.webm", n+1, strings.Join(words, "-"))
}

const sealedReadme = `Recording of an interview, a file for each voice and picture.

The files are WebM and play in every usual player (VLC, mpv, a browser).
SHA256SUMS holds their hashes:  sha256sum -c SHA256SUMS

%s
Where nothing was recorded (a break, a private consultation, a lost
connection) the sound is silent: the silence is the file's, not the room's.
The sealed original with its signatures is the evidence bundle.
`

// SealedHelp is how a sealed medium is opened; it stands beside it in clear.
const SealedHelp = `This medium is sealed in the age format (https://age-encryption.org/v1).

Open it with the program age (https://github.com/FiloSottile/age, in Debian:
apt install age) and the passphrase that you were given apart from it:

    age --decrypt --output recording.tar recording.tar.age
    tar xf recording.tar

Keep the passphrase away from the medium. Copies are as secret as the hearing.
`
