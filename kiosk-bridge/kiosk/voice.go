package kiosk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"kuule/internal/canon"
	"kuule/internal/problem"
)

// Voice reads the kiosk's texts aloud, so that nobody has to read (row N3). A
// recorded clip comes first: Clips/LANGUAGE/KEY.wav or .ogg; where there is
// none, espeak-ng speaks the text if it has a voice for the language. It is safe
// for concurrent use.
type Voice struct {
	Clips string // folder of recorded clips; empty: none

	once   sync.Once
	voices map[string]bool
	mu     sync.Mutex
	said   map[string][]byte // what espeak-ng said, by language and text
	held   int               // bytes of it
	one    sync.Mutex        // one voice at a time on a small machine
}

const (
	maxSpoken   = 600
	maxSaid     = 16 << 20 // bytes of sound kept; the page's texts are fewer
	speakWithin = 10 * time.Second
	wordsAMin   = "145" // slower than espeak-ng's 175: a second language, a strange place
)

// ErrNoVoice says that nothing here speaks the language.
var ErrNoVoice = errors.New("no recorded clip and no voice for this language")

// Spoken is what the page wants to have said.
type Spoken struct {
	Language string `json:"language"` // of the catalogue: fi, en, ar...
	Key      string `json:"key"`      // of the text, which names its clip
	Text     string `json:"text"`
}

var (
	languagePattern = regexp.MustCompile(`^[a-z]{2,3}$`)
	keyPattern      = regexp.MustCompile(`^[a-z][a-zA-Z0-9.-]{0,63}$`)
)

// ServeHTTP answers with sound, or with 204 where nothing here speaks the
// language: the page then stays silent and shows its pictures.
func (v *Voice) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var want Spoken
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, 8<<10)); err != nil {
		problem.Write(w, problem.New(problem.CodeTooLarge, "text to speak"))
		return
	}
	if err := canon.Strict(body.Bytes(), &want); err != nil {
		problem.Write(w, problem.New(problem.CodeMalformed, "%w", err))
		return
	}
	sound, kind, err := v.Say(r.Context(), want)
	switch {
	case errors.Is(err, ErrNoVoice):
		w.WriteHeader(http.StatusNoContent)
	case err != nil:
		problem.Write(w, err)
	default:
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(sound)
	}
}

// Say gives the sound of a text and its media type.
func (v *Voice) Say(ctx context.Context, s Spoken) ([]byte, string, error) {
	if !languagePattern.MatchString(s.Language) || !keyPattern.MatchString(s.Key) || s.Text == "" || len(s.Text) > maxSpoken || !utf8.ValidString(s.Text) {
		return nil, "", problem.New(problem.CodeMalformed, "language, key and a text of at most %d bytes are needed", maxSpoken)
	}
	if sound, kind, err := v.clip(s); sound != nil || err != nil {
		return sound, kind, err
	}
	sound, err := v.speak(ctx, s)
	return sound, "audio/wav", err
}

// clip is a recorded text; the names were checked and hold no path.
func (v *Voice) clip(s Spoken) ([]byte, string, error) {
	if v.Clips == "" {
		return nil, "", nil
	}
	root, err := os.OpenRoot(v.Clips)
	if err != nil {
		return nil, "", fmt.Errorf("open the folder of clips: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, k := range []struct{ ending, kind string }{{".ogg", "audio/ogg"}, {".wav", "audio/wav"}} {
		sound, err := root.ReadFile(s.Language + "/" + s.Key + k.ending)
		if err == nil {
			return sound, k.kind, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", fmt.Errorf("read clip %s/%s: %w", s.Language, s.Key, err)
		}
	}
	return nil, "", nil
}

// espeakNames are languages that espeak-ng calls otherwise than the page does.
var espeakNames = map[string]string{"kmr": "ku"}

func espeakName(language string) string {
	if name, other := espeakNames[language]; other {
		return name
	}
	return language
}

// Speaks says whether something here speaks a language: espeak-ng, or a folder
// of clips whose first one, hello, is there.
func (v *Voice) Speaks(language string) bool {
	if !languagePattern.MatchString(language) {
		return false
	}
	v.once.Do(v.listVoices)
	if v.voices[espeakName(language)] {
		return true
	}
	clip, _, err := v.clip(Spoken{Language: language, Key: "hello"})
	return err == nil && clip != nil
}

func (v *Voice) speak(ctx context.Context, s Spoken) ([]byte, error) {
	v.once.Do(v.listVoices)
	if !v.voices[espeakName(s.Language)] {
		return nil, ErrNoVoice
	}
	name := s.Language + "\x00" + s.Text
	v.mu.Lock()
	sound := v.said[name]
	v.mu.Unlock()
	if sound != nil {
		return sound, nil
	}
	v.one.Lock()
	defer v.one.Unlock()
	ctx, cancel := context.WithTimeout(ctx, speakWithin)
	defer cancel()
	// The text goes in by standard input: it is nobody's option.
	cmd := exec.CommandContext(ctx, "espeak-ng", "-v", espeakName(s.Language), "-s", wordsAMin, "--stdin", "--stdout")
	cmd.Stdin, cmd.Env, cmd.Dir = strings.NewReader(s.Text), []string{}, "/"
	sound, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("speak in %s: %w", s.Language, err)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.said == nil || v.held+len(sound) > maxSaid {
		v.said, v.held = map[string][]byte{}, 0
	}
	v.said[name] = sound
	v.held += len(sound)
	return sound, nil
}

// listVoices asks espeak-ng once which languages it has.
func (v *Voice) listVoices() {
	v.voices = map[string]bool{}
	out, err := exec.Command("espeak-ng", "--voices").Output()
	if err != nil {
		return // not installed: clips and pictures only
	}
	for line := range strings.Lines(string(out)) {
		if fields := strings.Fields(line); len(fields) > 1 {
			language, _, _ := strings.Cut(fields[1], "-")
			v.voices[language] = true
		}
	}
}
