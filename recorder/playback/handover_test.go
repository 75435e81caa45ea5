package playback_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
)

// A mixed file has everybody's voice and picture.
func TestAMixedFileHoldsEverybody(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffprobe")
	w := journaltest.New(t)
	path := held(t, w, nil)
	out := filepath.Join(t.TempDir(), "mixed.webm")
	f, err := os.Create(out)
	must(t, err)
	r, err := new(playback.Mixer).Mix(context.Background(), f, playback.Options{}, playback.Folder(path, w.Key))
	must(t, err)
	must(t, f.Close())
	if len(r.Lanes) != 4 {
		t.Fatalf("%d lanes", len(r.Lanes))
	}
	p := look(t, out)
	if len(p.Streams) != 2 {
		t.Fatalf("%+v", p.Streams)
	}
	sound := 0
	for i, s := range p.Streams {
		if s.Codec == "opus" {
			sound = i
		} else if s.Width != 640 {
			t.Fatalf("picture is %d wide", s.Width)
		}
	}
	for _, tone := range []int{440, 880} {
		if l := loud(t, out, sound, tone); l < -45 {
			t.Fatalf("tone of %d Hz: %v dB", tone, l)
		}
	}
}

// The program that mixes decodes what strangers sent: it reaches no network,
// knows no environment and writes no file.
func TestTheMixerIsConfined(t *testing.T) {
	folder := t.TempDir()
	leak := filepath.Join(folder, "leak")
	script := "#!/bin/sh\n(echo leaked > " + leak + ") 2>/dev/null\nread -r _ < /dev/stdin\n(echo leaked > " + leak + "2) 2>/dev/null\necho \"env:$KUULE_SECRET files:$(ulimit -n) net:$(tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | tr '\\n' ',')\" >&2\nexit 1\n"
	must(t, os.WriteFile(filepath.Join(folder, "ffmpeg"), []byte(script), 0o700))
	must(t, os.Chmod(folder, 0o755))
	must(t, os.Chmod(filepath.Join(folder, "ffmpeg"), 0o755))
	w := journaltest.New(t)
	path := held(t, w, nil)
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("KUULE_SECRET", "secret")
	var b bytes.Buffer
	_, err := new(playback.Mixer).Mix(context.Background(), &b, playback.Options{}, playback.Folder(path, w.Key))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "files:64") {
		t.Fatal(err)
	}
	if info, err := os.Stat(leak + "2"); err == nil && info.Size() > 0 {
		t.Error("a file was written after the first byte of media")
	}
	if !strings.Contains(err.Error(), "net:lo,") && !strings.Contains(err.Error(), "net: ") {
		t.Logf("no network namespace here: %v", err)
	}
}

// Where the system gives the mixer no namespaces of its own, nothing is mixed
// unless the operator said so: deny by default.
func TestWithoutNamespacesNothingIsMixed(t *testing.T) {
	needs(t, "ffmpeg")
	before := *playback.Namespaces
	*playback.Namespaces = syscall.CLONE_NEWNS | syscall.CLONE_FS // what no system gives
	t.Cleanup(func() { *playback.Namespaces = before })
	w := journaltest.New(t)
	path := held(t, w, nil)
	var b bytes.Buffer
	if _, err := new(playback.Mixer).Mix(t.Context(), &b, playback.Options{}, playback.Folder(path, w.Key)); !errors.Is(err, playback.ErrUnconfined) || b.Len() > 0 {
		t.Fatalf("%d bytes, %v", b.Len(), err)
	}
	mixer := playback.Mixer{Unconfined: true}
	r, err := mixer.Mix(t.Context(), &b, playback.Options{}, playback.Folder(path, w.Key))
	must(t, err)
	if b.Len() == 0 || r.Mixed.CPU <= 0 || r.Mixed.Peak <= 0 {
		t.Fatalf("%d bytes, %+v", b.Len(), r.Mixed)
	}
}

func TestWithoutFfmpegAMixedFileSaysSo(t *testing.T) {
	w := journaltest.New(t)
	t.Setenv("PATH", t.TempDir())
	if _, err := new(playback.Mixer).Mix(context.Background(), io.Discard, playback.Options{}, playback.Folder(t.TempDir(), w.Key)); !errors.Is(err, playback.ErrNoMixer) {
		t.Fatal(err)
	}
}

// H7: a sealed medium opens with its passphrase and the standard program's
// format, and with nothing else.
func TestASealedMediumOpensWithItsPassphrase(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path := held(t, w, nil)
	to, err := playback.Recipient("correct horse battery", "")
	must(t, err)
	var b bytes.Buffer
	r, err := playback.Seal(context.Background(), &b, to, playback.Archive{Made: time.Unix(1_800_000_000, 0)}, playback.Folder(path, w.Key))
	must(t, err)
	if len(r.Lanes) != 4 {
		t.Fatalf("%d lanes", len(r.Lanes))
	}
	wrong, err := age.NewScryptIdentity("correct horse battery!")
	must(t, err)
	if _, err := age.Decrypt(bytes.NewReader(b.Bytes()), wrong); err == nil {
		t.Fatal("a wrong passphrase opens it")
	}
	right, err := age.NewScryptIdentity("correct horse battery")
	must(t, err)
	plain, err := age.Decrypt(bytes.NewReader(b.Bytes()), right)
	must(t, err)
	files := map[string][]byte{}
	archive := tar.NewReader(plain)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		files[h.Name], err = io.ReadAll(archive)
		must(t, err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(files["SHA256SUMS"])), "\n") {
		sum, name, _ := strings.Cut(line, "  ")
		got := sha256.Sum256(files[name])
		if sum != hex.EncodeToString(got[:]) || len(files[name]) < 1000 {
			t.Errorf("%s: %d bytes", name, len(files[name]))
		}
	}
	if len(files) != 6 || !strings.Contains(string(files["README.txt"]), "02-applicant-video.webm") {
		t.Fatalf("files: %d, %s", len(files), files["README.txt"])
	}
	cut, err := age.Decrypt(bytes.NewReader(b.Bytes()[:b.Len()/2]), right)
	if err == nil {
		_, err = io.Copy(io.Discard, cut)
	}
	if err == nil {
		t.Error("half a medium opens as a whole")
	}
	for _, c := range [][2]string{{"", ""}, {"short", ""}, {"correct horse battery", "age1x"}, {"", "age1nonsense"}} {
		if _, err := playback.Recipient(c[0], c[1]); !errors.Is(err, playback.ErrRecipient) {
			t.Errorf("%q: %v", c, err)
		}
	}
	other, err := journal.NewDataKey()
	must(t, err)
	if _, err := playback.Seal(context.Background(), io.Discard, to, playback.Archive{Made: time.Now()}, playback.Folder(path, other)); !errors.Is(err, journal.ErrDataKey) {
		t.Error(err)
	}
}

// The tracks have cues and duration, and Debian's readers find no fault.
func TestMkvtoolnixFindsNoFault(t *testing.T) {
	t.Parallel()
	needs(t, "ffmpeg", "ffprobe", "mkvmerge", "mkvinfo")
	w := journaltest.New(t)
	path := held(t, w, nil)
	out, _ := export(t, w, path, playback.Options{})
	info, _ := run(t, "mkvinfo", "--all", out)
	for _, want := range []string{"Cues", "Duration", "Seek pre-roll", "Codec-inherent delay"} {
		if !strings.Contains(info, want) {
			t.Errorf("mkvinfo shows no %s", want)
		}
	}
	again := filepath.Join(t.TempDir(), "again.mkv")
	said, _ := run(t, "mkvmerge", "-o", again, out)
	if strings.Contains(said, "Warning") || strings.Contains(said, "Error") {
		t.Errorf("mkvmerge: %s", said)
	}
}
