package playback_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"filippo.io/age"

	"kuule/interview"
	"kuule/recorder/journal"
	"kuule/recorder/journaltest"
	"kuule/recorder/playback"
)

// What is streamed is what a file gets, cues and duration included, byte for byte.
func TestAStreamedFileIsTheWrittenOne(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	path := held(t, w, nil)
	for name, o := range map[string]playback.Options{
		"all":     {},
		"one":     {Only: func(l playback.Lane) bool { return l.Name == "applicant audio" }},
		"picture": {Only: func(l playback.Lane) bool { return l.Name == "interviewer video" }},
	} {
		out := filepath.Join(t.TempDir(), "written.webm")
		f, err := os.Create(out)
		must(t, err)
		_, err = playback.Export(context.Background(), f, o, playback.Folder(path, w.Key))
		must(t, errors.Join(err, f.Close()))
		want, err := os.ReadFile(out)
		must(t, err)
		var got bytes.Buffer
		known, err := overviewed(t, path, w.Key).Overview(context.Background())
		must(t, err)
		o.Known = &known
		r, err := playback.Stream(context.Background(), &got, o, playback.Folder(path, w.Key))
		must(t, err)
		if !bytes.Equal(got.Bytes(), want) || r.Written == 0 {
			t.Errorf("%s: %d bytes streamed, %d written", name, got.Len(), len(want))
		}
	}
}

func overviewed(t *testing.T, path string, key journal.DataKey) *playback.Session {
	t.Helper()
	s, _ := session(t, recording(t, path, key))
	return s
}

// A recording that another process still writes gives no file that is half of
// the one and half of the other.
func TestARecordingThatGrowsMeanwhileIsNotExported(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	s := w.Sender(w.Member(interview.RoleApplicant), 1, 1, 0, interview.SourceAudio)
	var frames []journal.Frame
	for i := range 200 {
		frames = append(frames, s.Seal(interview.Micros(i)*20_000, false, []byte{0xf8, 0xff, 0xfe}))
	}
	held := func(n int) playback.Journal {
		path := t.TempDir() + "/rec"
		disk, err := journal.Directory(path)
		must(t, err)
		j, err := journal.Create(w.Config(disk))
		must(t, err)
		e, err := journal.NewSenderKeyEntry(1, s.SenderKey())
		must(t, err)
		must(t, j.AddEntry(e))
		for _, f := range frames[:n] {
			must(t, j.Append(f))
		}
		must(t, j.Close("ended"))
		return playback.Folder(path, w.Key)
	}
	before, after := held(100), held(200)
	reads := 0
	growing := playback.Journal{Key: w.Key, Open: func() ([]journal.Source, func() error, error) {
		if reads++; reads > 2 { // once for the overview, once to plan
			return after.Open()
		}
		return before.Open()
	}}
	var b bytes.Buffer
	if _, err := playback.Stream(context.Background(), &b, playback.Options{}, growing); !errors.Is(err, playback.ErrChanged) {
		t.Errorf("after %d readings: %v", reads, err)
	}
}

// read passes every file of a journal through a reader.
func read(j playback.Journal, through func(io.Reader) io.Reader) playback.Journal {
	return playback.Journal{Key: j.Key, Open: func() ([]journal.Source, func() error, error) {
		sources, end, err := j.Open()
		for i := range sources {
			sources[i].Reader = through(sources[i].Reader)
		}
		return sources, end, err
	}}
}

// A disk that gives less than it is asked for changes no byte of an export; one
// that ends before its file does leaves no file that opens as a whole.
func TestShortReadsChangeNoExport(t *testing.T) {
	t.Parallel()
	w := journaltest.New(t)
	whole := playback.Folder(held(t, w, nil), w.Key)
	var want, got bytes.Buffer
	_, err := playback.Stream(t.Context(), &want, playback.Options{}, whole)
	must(t, err)
	for name, through := range map[string]func(io.Reader) io.Reader{"half": iotest.HalfReader, "its end with the last bytes": iotest.DataErrReader} {
		got.Reset()
		_, err := playback.Stream(t.Context(), &got, playback.Options{}, read(whole, through))
		must(t, err)
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Errorf("%s: %d bytes, want %d the same", name, got.Len(), want.Len())
		}
	}
	broken := errors.New("the disk broke")
	to, err := playback.Recipient("correct horse battery", "")
	must(t, err)
	who, err := age.NewScryptIdentity("correct horse battery")
	must(t, err)
	got.Reset()
	_, err = playback.Seal(t.Context(), &got, to, playback.Archive{}, read(whole, func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 20_000), iotest.ErrReader(broken))
	}))
	if !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	plain, err := age.Decrypt(&got, who)
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if err == nil {
		t.Error("what broke off opens as a whole")
	}
}
