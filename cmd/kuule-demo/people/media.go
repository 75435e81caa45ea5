package people

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

//go:embed media
var files embed.FS

// Times of the media.
const (
	FrameTime   = 20 * time.Millisecond // of one Opus packet
	PictureTime = 100 * time.Millisecond
	samples     = 960  // of a packet, at 48 kHz
	ticks       = 9000 // of a picture, at 90 kHz
)

// Voice is how somebody of the demonstration sounds.
type Voice string

// Voices.
const (
	Interviewer Voice = "interviewer"
	Applicant   Voice = "applicant"
	Interpreter Voice = "interpreter"
	Counsel     Voice = "counsel"
)

// Voices lists them all.
var Voices = []Voice{Interviewer, Applicant, Interpreter, Counsel}

// Sentence is one thing that somebody says.
type Sentence struct {
	Voice    Voice
	Language string
	Text     string
}

// Tone is the frequency in hertz that is mixed into a voice.
func (v Voice) Tone() int {
	return map[Voice]int{Interviewer: 310, Applicant: 430, Interpreter: 550, Counsel: 670}[v]
}

// Script is what is said at the demonstration's hearing, in its order: names of
// clips are numbers in it.
var Script = []Sentence{
	{Interviewer, "fi", "Hyvää huomenta. Aloitamme puhuttelun."},
	{Interviewer, "fi", "Milloin lähditte kotoanne?"},
	{Applicant, "ar", "غادرت بيتي في الثالث من مايو."},
	{Interpreter, "fi", "Lähdin kotoani toukokuun kolmantena."},
	{Interviewer, "fi", "Kuka oli mukananne?"},
	{Applicant, "ar", "كان أخي معي."},
	{Interpreter, "fi", "Veljeni oli mukanani."},
	{Counsel, "en", "Thank you. I have no further questions."},
}

// Clip is a sentence as Opus packets of FrameTime with their levels (-dBov).
type Clip struct {
	Sentence
	Packets [][]byte
	Levels  []uint8
}

// Duration is how long the clip is.
func (c Clip) Duration() time.Duration { return time.Duration(len(c.Packets)) * FrameTime }

// Picture is one VP8 frame.
type Picture struct {
	Data []byte
	Key  bool
}

// Media is all that people say and show.
type Media struct {
	Clips    []Clip // as in Script
	Silence  Clip
	Pictures map[Voice][]Picture // of those who have a camera; a loop that begins with a key frame
}

// cameras are whose picture there is: applicant and interpreter sit before one.
var cameras = []Voice{Interviewer, Applicant, Counsel}

// Load reads the media of the program.
func Load() (*Media, error) {
	text, err := files.ReadFile("media/levels.json")
	if err != nil {
		return nil, fmt.Errorf("media: %w: run kuule-demo make-media", err)
	}
	var levels map[string][]byte
	if err := json.Unmarshal(text, &levels); err != nil {
		return nil, fmt.Errorf("media: levels: %w", err)
	}
	m := &Media{Pictures: map[Voice][]Picture{}}
	for i, s := range Script {
		c, err := readClip(clipName(i), levels)
		if err != nil {
			return nil, err
		}
		c.Sentence = s
		m.Clips = append(m.Clips, c)
	}
	if m.Silence, err = readClip(silenceName, levels); err != nil {
		return nil, err
	}
	for _, v := range cameras {
		if m.Pictures[v], err = readPictures(string(v) + ".ivf"); err != nil {
			return nil, err
		}
	}
	return m, nil
}

const silenceName = "silence.ogg"

func clipName(i int) string { return fmt.Sprintf("%d-%s.ogg", i+1, Script[i].Voice) }

func readClip(name string, levels map[string][]byte) (Clip, error) {
	b, err := files.ReadFile("media/" + name)
	if err != nil {
		return Clip{}, fmt.Errorf("media: %w: run kuule-demo make-media", err)
	}
	packets, err := oggPackets(b)
	if err != nil {
		return Clip{}, fmt.Errorf("media: %s: %w", name, err)
	}
	if len(levels[name]) != len(packets) {
		return Clip{}, fmt.Errorf("media: %s has %d packets and %d levels: run kuule-demo make-media", name, len(packets), len(levels[name]))
	}
	return Clip{Packets: packets, Levels: levels[name]}, nil
}

// oggPackets takes the packets out of an Ogg stream, without the two headers of
// Opus (RFC 3533, RFC 7845).
func oggPackets(b []byte) ([][]byte, error) {
	var all [][]byte
	var part []byte
	for len(b) > 0 {
		if len(b) < 27 || string(b[:4]) != "OggS" || len(b) < 27+int(b[26]) {
			return nil, errors.New("no Ogg page where one belongs")
		}
		lacing := b[27 : 27+int(b[26])]
		b = b[27+len(lacing):]
		for _, n := range lacing {
			if len(b) < int(n) {
				return nil, errors.New("an Ogg page ends too early")
			}
			part = append(part, b[:n]...)
			b = b[n:]
			if n < 255 {
				all = append(all, part)
				part = nil
			}
		}
	}
	if len(all) < 3 || !bytes.HasPrefix(all[0], []byte("OpusHead")) || !bytes.HasPrefix(all[1], []byte("OpusTags")) {
		return nil, errors.New("no Opus stream")
	}
	return all[2:], nil
}

func readPictures(name string) ([]Picture, error) {
	b, err := files.ReadFile("media/" + name)
	if err != nil {
		return nil, fmt.Errorf("media: %w: run kuule-demo make-media", err)
	}
	r, _, err := ivfreader.NewWith(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("media: %s: %w", name, err)
	}
	var all []Picture
	for {
		data, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("media: %s: %w", name, err)
		}
		// RFC 6386 section 9.1: the lowest bit is 0 in a key frame.
		all = append(all, Picture{Data: data, Key: len(data) > 0 && data[0]&1 == 0})
	}
	if len(all) == 0 || !all[0].Key {
		return nil, fmt.Errorf("media: %s does not begin with a key frame", name)
	}
	return all, nil
}
