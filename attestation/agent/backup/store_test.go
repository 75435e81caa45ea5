package backup_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	store "kuule/attestation/agent/backup"
	"kuule/internal/jws"
	"kuule/internal/sframe"
	"kuule/internal/trust"
	"kuule/interview"
	"kuule/interview/backup"
	"kuule/interview/sealing"
	"kuule/interview/sealing/sealingtest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// room is a hearing at a terminal, with what a page of it can hand over.
type room struct {
	*sealingtest.Installation
	t                         *testing.T
	chair, terminal, recorder *sealingtest.Joined
	group                     interview.GroupID
	track                     interview.TrackID
	escrow, sealing           *ecdsa.PrivateKey
	trust                     *trust.File
}

func newRoom(t *testing.T) *room {
	t.Helper()
	i := sealingtest.New(t, time.Now())
	r := &room{
		Installation: i, t: t, chair: i.Page(t, interview.RoleInterviewer), terminal: i.Page(t, interview.RoleApplicant), recorder: i.Recorder(t),
		group: interview.NewGroupID(), track: interview.NewTrackID(), escrow: sealingtest.NewKey(t), sealing: sealingtest.NewKey(t),
	}
	encode := func(k *ecdsa.PrivateKey) string {
		text, err := trust.EncodeKey(k.Public())
		must(t, err)
		return text
	}
	r.trust = &trust.File{V: 1, StatementKey: encode(i.Statement), SealingKey: encode(r.sealing), BackupKey: encode(r.escrow)}
	return r
}

func (r *room) roster(epoch int64, members ...*sealingtest.Joined) string {
	r.t.Helper()
	x := sealing.Roster{V: 1, Hearing: r.Hearing, Group: r.group, Epoch: epoch, Chair: r.chair.ID(), Reason: "join"}
	for _, m := range members {
		x.Members = append(x.Members, sealing.RosterMember{Member: m.ID(), Admission: jws.Hash(m.Admission)})
	}
	text, err := jws.Sign(x, sealing.TypeRoster, r.chair.Identity.Signer())
	must(r.t, err)
	return text
}

// chunk is what the terminal's page sealed in an epoch.
func (r *room) chunk(epoch int64, roster string) *backup.Chunk {
	r.t.Helper()
	c := &backup.Chunk{
		V: 1, Hearing: r.Hearing, Group: r.group, Member: r.terminal.ID(), Epoch: epoch,
		Statement: r.terminal.Statement, Roster: roster, Recorder: r.recorder.Admission, Origins: []string{}, Keys: []backup.Key{},
	}
	raw := make([]byte, sealing.SenderKeyBytes)
	_, err := rand.Read(raw)
	must(r.t, err)
	kid := sealing.KID(epoch, 1, 0)
	to, err := backup.Recipient(r.trust)
	must(r.t, err)
	key, err := c.SealKey(to, backup.Key{Track: r.track, Source: interview.SourceAudio, KID: kid}, raw)
	must(r.t, err)
	c.Keys = append(c.Keys, key)
	sealer, err := sframe.NewSealer(raw, uint64(kid))
	must(r.t, err)
	for n := range 5 {
		plain, err := sealing.AppendFrameHeader(nil, sealing.FrameHeader{Source: interview.SourceAudio, Capture: interview.Micros(n), Level: 20})
		must(r.t, err)
		sealed, _, err := sealer.Seal(nil, sealing.FrameMetadata(r.track), append(plain, "said"...))
		must(r.t, err)
		c.Frames = append(c.Frames, backup.Frame{Track: r.track, At: interview.Micros(n), Sealed: base64.RawURLEncoding.EncodeToString(sealed)})
	}
	return c
}

// disk is all that lies in the agent's folder.
func disk(t *testing.T, folder string) (all []byte, names []string) {
	t.Helper()
	names, err := filepath.Glob(folder + "/*")
	must(t, err)
	for _, n := range names {
		b, err := os.ReadFile(n)
		must(t, err)
		all = append(all, b...)
	}
	return all, names
}

// epochs opens what is on the disk with the agency's key.
func (r *room) epochs(folder string) map[int64]int {
	r.t.Helper()
	own, err := backup.PrivateKey(r.escrow)
	must(r.t, err)
	found := map[int64]int{}
	_, names := disk(r.t, folder)
	for _, n := range names {
		f, err := os.Open(n)
		must(r.t, err)
		must(r.t, backup.Read(f, r.Hearing, own, func(c *backup.Chunk) error {
			for _, x := range c.Frames {
				b, err := x.Bytes()
				must(r.t, err)
				h, err := sframe.ParseHeader(b)
				must(r.t, err)
				epoch, _, _ := sealing.PlaceOf(int64(h.KID))
				found[epoch]++
			}
			for _, k := range c.Keys {
				if _, err := c.OpenKey(own, k); err != nil {
					return err
				}
			}
			return nil
		}))
		must(r.t, f.Close())
	}
	return found
}

// H5, promise 4: the terminal's disk is read, with the agency's own key: it holds
// what was said on record and nothing of a pause's or consultation's epochs,
// whatever the page hands over.
func TestNothingOfAPauseIsOnTheDisk(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	folder := t.TempDir()
	s, err := store.Open(folder, r.trust)
	must(t, err)
	defer s.Close()
	on := r.roster(1, r.chair, r.terminal, r.recorder)
	pause := r.roster(2, r.chair, r.terminal)
	said := r.chunk(1, on)
	must(t, s.Append(said))
	before, _ := disk(t, folder)

	private := r.chunk(2, pause)
	mixed := r.chunk(1, on)
	mixed.Frames = append(mixed.Frames, private.Frames[0])
	keyed := r.chunk(1, on)
	keyed.Keys = append(keyed.Keys, private.Keys...)
	claimed := r.chunk(2, on) // the roster of the epoch before
	renamed := r.chunk(1, on)
	renamed.Frames, renamed.Epoch = private.Frames, 1
	other := r.chunk(2, pause)
	other.Recorder = r.chair.Admission // who is on it, but is no recorder
	for name, c := range map[string]*backup.Chunk{
		"of a pause": private, "a frame of a pause among others": mixed, "a key of a pause among others": keyed,
		"under an older roster": claimed, "frames of a pause under another epoch's name": renamed, "a page in the recorder's place": other,
	} {
		err := s.Append(c)
		if !errors.Is(err, backup.ErrNotOnRecord) && !errors.Is(err, backup.ErrChunk) {
			t.Errorf("%s: %v", name, err)
		}
	}
	after, _ := disk(t, folder)
	if !bytes.Equal(before, after) {
		t.Fatal("the disk changed in a pause")
	}
	must(t, s.Append(r.chunk(3, r.roster(3, r.chair, r.terminal, r.recorder))))
	if got := r.epochs(folder); len(got) != 2 || got[1] != 5 || got[3] != 5 {
		t.Fatalf("frames by epoch: %v", got)
	}
	// Nothing of it reads without the agency's key.
	all, _ := disk(t, folder)
	for _, f := range said.Frames {
		b, err := f.Bytes()
		must(t, err)
		if bytes.Contains(all, b) || bytes.Contains(all, []byte(f.Sealed)) {
			t.Fatal("a frame stands on the disk as it was sent")
		}
	}
	if bytes.Contains(all, []byte("hrg_")) {
		t.Fatal("a name stands in clear inside a file")
	}
}

// Each missing condition of a chunk alone refuses it.
func TestEachConditionOfAChunk(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	on := r.roster(1, r.chair, r.terminal, r.recorder)
	must(t, r.chunk(1, on).Check(r.trust))
	for name, change := range map[string]func(*backup.Chunk){
		"version":           func(c *backup.Chunk) { c.V = 2 },
		"another hearing":   func(c *backup.Chunk) { c.Hearing = interview.NewHearingID() },
		"another group":     func(c *backup.Chunk) { c.Group = interview.NewGroupID() },
		"another member":    func(c *backup.Chunk) { c.Member = r.chair.ID() },
		"a stranger":        func(c *backup.Chunk) { c.Member = interview.NewMemberID() },
		"no roster":         func(c *backup.Chunk) { c.Roster = "" },
		"no recorder":       func(c *backup.Chunk) { c.Recorder = "" },
		"another recorder":  func(c *backup.Chunk) { c.Recorder = r.Recorder(t).Admission },
		"a frame less than": func(c *backup.Chunk) { c.Frames[0].Sealed = "" },
		"too many frames":   func(c *backup.Chunk) { c.Frames = make([]backup.Frame, backup.MaxFrames+1) },
		"a list of rubbish": func(c *backup.Chunk) { c.Origins = []string{"x"} },
	} {
		c := r.chunk(1, on)
		change(c)
		if err := c.Check(r.trust); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestBackupsAreBoundedAndGoWhenReleased(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	folder := t.TempDir()
	s, err := store.Open(folder, r.trust)
	must(t, err)
	s.Limits.Hearing, s.Limits.Files = 12<<10, 2
	on := r.roster(1, r.chair, r.terminal, r.recorder)
	kept := 0
	for ; err == nil && kept < 100; kept++ {
		err = s.Append(r.chunk(1, on))
	}
	if !errors.Is(err, store.ErrFull) || kept < 2 {
		t.Fatalf("%d chunks: %v", kept, err)
	}
	must(t, s.Close())
	// A power cut tears the last chunk: what was before it counts.
	_, names := disk(t, folder)
	st, err := os.Stat(names[0])
	must(t, err)
	must(t, os.Truncate(names[0], st.Size()-9))
	if got := r.epochs(folder); got[1] != 5*(kept-2) {
		t.Fatalf("%v of %d chunks", got, kept)
	}
	// The terminal's next run goes on in a file of its own.
	s, err = store.Open(folder, r.trust)
	must(t, err)
	defer s.Close()
	must(t, s.Append(r.chunk(1, on)))
	if _, names := disk(t, folder); len(names) != 2 {
		t.Fatalf("%d files", len(names))
	}
	// A third has no room while both are of today; the older one of yesterday goes.
	must(t, s.Close())
	s.Limits.Files = 2
	if err := s.Append(r.chunk(1, on)); !errors.Is(err, store.ErrFull) {
		t.Fatalf("a third file today: %v", err)
	}
	must(t, os.Chtimes(names[0], time.Now(), time.Now().Add(-store.MinAge-time.Hour)))
	must(t, s.Append(r.chunk(1, on)))
	if _, err := os.Stat(names[0]); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the oldest of too many: %v", err)
	}
	own := interview.NewDeviceID()
	good := backup.Release{V: 2, Hearing: r.Hearing, Devices: []interview.DeviceID{interview.NewDeviceID(), own}, At: 1}
	for name, change := range map[string]func(x *backup.Release) *ecdsa.PrivateKey{
		"by another key":        func(*backup.Release) *ecdsa.PrivateKey { return r.escrow },
		"another terminal":      func(x *backup.Release) *ecdsa.PrivateKey { x.Devices = x.Devices[:1]; return r.sealing },
		"no terminal":           func(x *backup.Release) *ecdsa.PrivateKey { x.Devices = nil; return r.sealing },
		"of the version before": func(x *backup.Release) *ecdsa.PrivateKey { x.V = 1; return r.sealing },
		"of no hearing":         func(x *backup.Release) *ecdsa.PrivateKey { x.Hearing = interview.HearingID{}; return r.sealing },
	} {
		x := good
		key := change(&x)
		text, err := jws.Sign(x, backup.TypeRelease, key)
		must(t, err)
		if err := s.Release(text, own); err == nil {
			t.Errorf("released %s", name)
		}
	}
	signed, err := jws.Sign(good, backup.TypeRelease, r.sealing)
	must(t, err)
	if err := s.Release(signed, interview.DeviceID{}); err == nil {
		t.Error("released a terminal that does not know which it is")
	}
	if _, names := disk(t, folder); len(names) == 0 {
		t.Fatal("deleted without a release")
	}
	must(t, s.Release(signed, own))
	if all, names := disk(t, folder); len(all) != 0 || len(names) != 0 {
		t.Fatalf("left after the release: %v", names)
	}
	none := *r.trust
	none.BackupKey = ""
	if _, err := store.Open(t.TempDir(), &none); !errors.Is(err, backup.ErrKey) {
		t.Fatalf("without a key: %v", err)
	}
	// An old file goes without a release.
	old := filepath.Join(folder, r.Hearing.String()+".1.kb")
	must(t, os.WriteFile(old, nil, 0o600))
	must(t, os.Chtimes(old, time.Now(), time.Now().Add(-store.MaxAge-time.Hour)))
	again, err := store.Open(folder, r.trust)
	must(t, err)
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an old back-up: %v", err)
	}
	// It does so at a terminal that never restarts, too.
	must(t, os.WriteFile(old, nil, 0o600))
	must(t, os.Chtimes(old, time.Now(), time.Now().Add(-store.MaxAge-time.Hour)))
	must(t, again.Append(r.chunk(1, on)))
	must(t, again.Close())
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("an old back-up at the next hearing: %v", err)
	}
}

// A disk that is full for a moment tears one chunk; what comes after it can be
// read all the same.
func TestATornChunkSpoilsNoOther(t *testing.T) {
	r := newRoom(t)
	folder := t.TempDir()
	s, err := store.Open(folder, r.trust)
	must(t, err)
	defer s.Close()
	on := r.roster(1, r.chair, r.terminal, r.recorder)
	must(t, s.Append(r.chunk(1, on)))
	_, names := disk(t, folder)
	st, err := os.Stat(names[0])
	must(t, err)
	full(t, st.Size()+20, func() {
		if err := s.Append(r.chunk(1, on)); err == nil {
			t.Error("kept on a full disk")
		}
	})
	must(t, s.Append(r.chunk(1, on)))
	if _, names := disk(t, folder); len(names) != 2 {
		t.Errorf("%d files", len(names))
	}
	if got := r.epochs(folder); got[1] != 10 {
		t.Errorf("%v frames of two chunks", got)
	}
}

// full runs f while no file of this process can grow over a size.
func full(t *testing.T, size int64, f func()) {
	t.Helper()
	var before unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	signal.Ignore(unix.SIGXFSZ)
	defer signal.Reset(unix.SIGXFSZ)
	must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(size), Max: before.Max}))
	defer func() { must(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before)) }()
	f()
}

func FuzzRead(f *testing.F) {
	key := sealingtest.NewKey(f)
	own, err := backup.PrivateKey(key)
	must(f, err)
	h := interview.NewHearingID()
	f.Add([]byte("kuulebk1"))
	f.Add([]byte("kuulebk1\x00\x00\x00\x02xx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = backup.Read(bytes.NewReader(b), h, own, func(*backup.Chunk) error { return nil })
	})
}

// picture is a chunk of an own picture, with the key of its track.
func (r *room) picture(epoch int64, roster string) *backup.Chunk {
	r.t.Helper()
	track := r.track
	defer func() { r.track = track }()
	r.track = interview.NewTrackID()
	c := r.chunk(epoch, roster)
	to, err := backup.Recipient(r.trust)
	must(r.t, err)
	c.Keys[0], err = c.SealKey(to, backup.Key{Track: r.track, Source: interview.SourceVideo, KID: sealing.KID(epoch, 1, 1)}, make([]byte, sealing.SenderKeyBytes))
	must(r.t, err)
	return c
}

// H5: where place gets short pictures go first, and sound is kept until hardly any
// is left: by size of the hearing, and by what the disk has.
func TestPicturesGoBeforeSound(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	on := r.roster(1, r.chair, r.terminal, r.recorder)
	own, err := backup.PrivateKey(r.escrow)
	must(t, err)
	left := int64(1 << 40)
	for name, limit := range map[string]func(s *store.Store){
		"the hearing is large": func(s *store.Store) { s.Limits.Pictures = 1 },
		"the disk is full":     func(s *store.Store) { s.Limits.PictureFree = 1 << 41 },
	} {
		folder := t.TempDir()
		s, err := store.Open(folder, r.trust)
		must(t, err)
		s.Limits.Free = func(string) (int64, error) { return left, nil }
		both := r.chunk(1, on)
		picture := r.picture(1, on)
		both.Keys, both.Frames = append(both.Keys, picture.Keys...), append(both.Frames, picture.Frames...)
		must(t, s.Append(both))
		limit(s)
		must(t, s.Append(both))
		must(t, s.Append(&backup.Chunk{
			V: 1, Hearing: picture.Hearing, Group: picture.Group, Member: picture.Member, Epoch: 1, Statement: picture.Statement, Roster: on,
			Recorder: picture.Recorder, Keys: []backup.Key{}, Frames: picture.Frames, Origins: []string{},
		}))
		must(t, s.Close())
		_, names := disk(t, folder)
		f, err := os.Open(names[0])
		must(t, err)
		counts := map[interview.TrackID]int{}
		chunks := 0
		must(t, backup.Read(f, r.Hearing, own, func(c *backup.Chunk) error {
			chunks++
			for _, x := range c.Frames {
				counts[x.Track]++
			}
			return nil
		}))
		must(t, f.Close())
		if chunks != 2 || counts[r.track] != 10 || counts[picture.Frames[0].Track] != 5 {
			t.Errorf("%s: %d chunks, %v", name, chunks, counts)
		}
	}
	// Nothing at all is kept on a disk that is nearly full.
	s, err := store.Open(t.TempDir(), r.trust)
	must(t, err)
	defer s.Close()
	s.Limits.Free = func(string) (int64, error) { return store.LeastFree - 1, nil }
	if err := s.Append(r.chunk(1, on)); !errors.Is(err, store.ErrFull) {
		t.Errorf("on a full disk: %v", err)
	}
	// Nor where all back-ups together have reached their bound.
	s.Limits.Free = func(string) (int64, error) { return left, nil }
	s.Limits.Total = -1
	if err := s.Append(r.chunk(1, on)); !errors.Is(err, store.ErrFull) {
		t.Errorf("in all: %v", err)
	}
}
