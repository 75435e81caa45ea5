package playback

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
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

// Archive is what a tar archive of a hearing holds beside its lanes.
type Archive struct {
	Made  time.Time  // stands in the archive; the rest follows from the recordings
	Also  []Document // after the lanes
	Known *Overview  // as in Options
	// Planned, if any, is told how often all journals are read, once that is known.
	Planned func(readings int)
}

// Document is a short file.
type Document struct {
	Name string
	Text []byte
}

// maxSpool bounds the media that wait in memory so that several lanes are made
// in one reading. A lane that is larger is written as it is read.
const maxSpool = 128 << 20

// Seal writes a hearing for hand-over on a disc or stick (H7): an age file
// (https://age-encryption.org/v1) with WriteArchive's tar archive inside. Out
// is not closed.
func Seal(ctx context.Context, out io.Writer, to age.Recipient, a Archive, journals ...Journal) (Report, error) {
	sealed, err := age.Encrypt(out, to)
	if err != nil {
		return Report{}, fmt.Errorf("seal: %w", err)
	}
	r, err := WriteArchive(ctx, sealed, a, journals...)
	if err != nil {
		return r, err // unfinished, so that it does not open as a whole
	}
	if err := sealed.Close(); err != nil {
		return r, fmt.Errorf("seal: %w", err)
	}
	return r, nil
}

// WriteArchive writes a tar archive that holds a WebM for each lane, the
// archive's documents, their hashes and what to do with them. Out is not closed.
func WriteArchive(ctx context.Context, out io.Writer, a Archive, journals ...Journal) (Report, error) {
	o := Options{Known: a.Known}
	overview, err := o.survey(ctx, journals)
	report := Report{Overview: overview}
	if err != nil {
		return report, err
	}
	var names []string
	var lanes [][]Lane
	chosen := o.chosen(overview)
	for i := range overview.Lanes {
		if l, ok := chosen[i]; ok {
			names, lanes = append(names, LaneFile(i, l)), append(lanes, []Lane{l})
			report.Lanes = append(report.Lanes, l)
		}
	}
	if len(lanes) == 0 {
		return report, ErrNothing
	}
	plans, err := planned(ctx, overview, lanes, journals)
	if err != nil {
		return report, err
	}
	t := &taring{w: tar.NewWriter(out), made: a.Made.UTC().Truncate(time.Second)}
	groups := grouped(plans)
	if a.Planned != nil {
		a.Planned(1 + len(groups))
	}
	i := 0
	for _, n := range groups {
		made, err := t.files(ctx, overview, names[i:i+n], plans[i:i+n], lanes[i:i+n], journals)
		if err != nil {
			return report, fmt.Errorf("%s: %w", names[i], err)
		}
		for j, r := range made {
			report.Written, report.Silent, report.Dropped = report.Written+r.Written, report.Silent+r.Silent, report.Dropped+r.Dropped
			fmt.Fprintf(&t.list, "%-40s begins %s into the hearing\n", names[i+j], time.Duration(r.Base)*time.Microsecond)
		}
		i += n
	}
	for _, d := range a.Also {
		if err := t.put(d.Name, int64(len(d.Text)), bytes.NewReader(d.Text)); err != nil {
			return report, err
		}
	}
	readme, sums := fmt.Sprintf(sealedReadme, t.list.String()), t.sums.String()
	if err := errors.Join(t.put("README.txt", int64(len(readme)), strings.NewReader(readme)), t.put("SHA256SUMS", int64(len(sums)), strings.NewReader(sums)), t.w.Close()); err != nil {
		return report, err
	}
	return report, nil
}

// grouped says how many files after each other are made in one reading.
func grouped(plans []*plan) (groups []int) {
	for i := 0; i < len(plans); {
		n, size := 1, plans[i].size
		for i+n < len(plans) && size+plans[i+n].size <= maxSpool {
			size += plans[i+n].size
			n++
		}
		groups = append(groups, n)
		i += n
	}
	return groups
}

// taring is an archive that is being written.
type taring struct {
	w          *tar.Writer
	made       time.Time
	sums, list strings.Builder
}

// file begins a file; done takes its hash down.
func (t *taring) file(name string, size int64) (out io.Writer, done func(), err error) {
	h := sha256.New()
	err = t.w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, ModTime: t.made, Format: tar.FormatPAX})
	return io.MultiWriter(t.w, h), func() { fmt.Fprintf(&t.sums, "%x  %s\n", h.Sum(nil), name) }, err
}

func (t *taring) put(name string, size int64, from io.Reader) error {
	out, done, err := t.file(name, size)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, from)
	done()
	return err
}

// files writes planned files in one reading: one as it is read, several
// through memory, in no folder, so that nothing decrypted touches the disk.
func (t *taring) files(ctx context.Context, overview Overview, names []string, plans []*plan, lanes [][]Lane, journals []Journal) ([]Report, error) {
	if len(plans) == 1 {
		out, done, err := t.file(names[0], plans[0].size)
		if err != nil {
			return nil, err
		}
		again := plans[0].again(out)
		reports, err := write(ctx, overview, []file{{again, lanes[0]}}, journals)
		done()
		if err == nil {
			err = again.check()
		}
		return reports, err
	}
	files := make([]file, len(plans))
	spools := make([]*os.File, len(plans))
	replays := make([]*replay, len(plans))
	for i := range plans {
		fd, err := unix.MemfdCreate("lane", unix.MFD_CLOEXEC)
		if err != nil {
			return nil, err
		}
		spools[i] = os.NewFile(uintptr(fd), "lane")
		defer spools[i].Close()
		replays[i] = plans[i].again(spools[i])
		files[i] = file{replays[i], lanes[i]}
	}
	reports, err := write(ctx, overview, files, journals)
	for i, r := range replays {
		if err == nil {
			err = r.check()
		}
		if err == nil {
			err = t.put(names[i], plans[i].size, io.NewSectionReader(spools[i], 0, plans[i].size))
		}
	}
	return reports, err
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

// SealedMixedHelp is how a sealed mixed file is opened.
const SealedMixedHelp = `This medium is sealed in the age format (https://age-encryption.org/v1).

Open it with the program age (https://github.com/FiloSottile/age, in Debian:
apt install age) and the passphrase that you were given apart from it:

    age --decrypt --output everybody.webm everybody.webm.age

Keep the passphrase away from the medium. Copies are as secret as the hearing.
`
