package face

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"kuule/internal/sandbox"
)

// EngineName names the reference engine: the models' package and version.
const EngineName = "reference faceplugin 0.0.1"

// Files of the engine's folder.
const (
	FileProgram  = "kuule-face"
	FileLibrary  = "libonnxruntime.so.1"
	FileDetect   = "fr_detect.onnx"
	FileLandmark = "fr_landmark.onnx"
	FileFeature  = "fr_feature.onnx"
)

// sums are the SHA-256 of what is not built here: other models would give other
// scores under the same name.
var sums = map[string]string{
	FileLibrary:  "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
	FileDetect:   "6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854",
	FileLandmark: "f10b0ba1d2a8a099adefede1ebf3733e44fe370715e7303dbeb7f59c02142258",
	FileFeature:  "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581",
}

// Errors of the engine. None of them says anything about a person.
var (
	// ErrNoEngine says that no engine is installed: faces are then not compared,
	// and the interviewer looks.
	ErrNoEngine = errors.New("no face engine is installed: 'make face-engine' puts one beside the binaries")
	// ErrEngine says that the engine did not answer this question.
	ErrEngine = errors.New("face engine did not answer")
	// ErrTimeout says that it did not answer in time, or that nobody waits any more.
	ErrTimeout = errors.New("face engine took too long")
)

// Bounds of the engine's process. The library reserves far more address space
// than it uses.
const (
	engineMemory = 8 << 30
	engineCPU    = 20 // seconds
	engineFiles  = 32
)

// Engine asks the reference engine. It is safe for concurrent use and holds no
// process while nobody asks.
type Engine struct {
	dir     string
	version string
	turns   chan struct{} // as many children as there are processors
	wait    time.Duration
}

// Open finds the engine in a folder, or in the folder `face` beside the running
// binary where dir is "", checks that library and models are the known ones and
// asks it once who it is. It returns [ErrNoEngine] where there is none.
func Open(ctx context.Context, dir string) (*Engine, error) {
	if dir == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the face engine: %w", err)
		}
		dir = filepath.Join(filepath.Dir(self), "face")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the face engine: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dir, FileProgram)); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (looked into %s)", ErrNoEngine, dir)
	}
	for name, want := range sums {
		if err := known(filepath.Join(dir, name), want); err != nil {
			return nil, err
		}
	}
	e := &Engine{dir: dir, turns: make(chan struct{}, runtime.NumCPU()), wait: 20 * time.Second}
	hello, err := e.ask(ctx, OpHello)
	if err != nil {
		return nil, err
	}
	e.version = hello.Engine
	return e, nil
}

func known(path, want string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoEngine, err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s is not the file that this engine was tried with (SHA-256 %s): fetch it again with 'make face-engine'", path, got)
	}
	return nil
}

// Version names engine, models and library.
func (e *Engine) Version() string { return e.version }

// Look says whether one face that can be compared is on a picture (JPEG or PNG).
func (e *Engine) Look(ctx context.Context, picture []byte) (Look, error) {
	a, err := e.ask(ctx, OpLook, picture)
	if err != nil {
		return Look{}, err
	}
	return a.Looks[0], nil
}

// Compare compares live pictures with one reference picture of a document or a
// register.
func (e *Engine) Compare(ctx context.Context, live [][]byte, reference []byte) (Comparison, error) {
	a, err := e.ask(ctx, OpCompare, append([][]byte{reference}, live...)...)
	if err != nil {
		return Comparison{}, err
	}
	return conclude(a), nil
}

// Template describes the face on a picture in numbers, for a search. It is nil
// where the look says that there is none.
func (e *Engine) Template(ctx context.Context, picture []byte) (Template, Look, error) {
	a, err := e.ask(ctx, OpTemplate, picture)
	if err != nil {
		return nil, Look{}, err
	}
	if len(a.Template) == 0 {
		return nil, a.Looks[0], nil
	}
	return a.Template, a.Looks[0], nil
}

// ask starts a process for one question. A picture that is too large is not even
// handed over.
func (e *Engine) ask(ctx context.Context, op Operation, pictures ...[]byte) (Answer, error) {
	var question bytes.Buffer
	if err := WriteRequest(&question, op, pictures...); err != nil {
		return Answer{}, err
	}
	defer func() { clear(question.Bytes()[:cap(question.Bytes())]) }()
	ctx, cancel := context.WithTimeout(ctx, e.wait)
	defer cancel()
	select {
	case e.turns <- struct{}{}:
		defer func() { <-e.turns }()
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	var out, said limited
	out.left, said.left = maxAnswer+4, 2048
	c := exec.CommandContext(ctx, filepath.Join(e.dir, FileProgram), e.dir)
	c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(question.Bytes()), &out, &said
	err := sandbox.Start(c, sandbox.Limits{Memory: engineMemory, CPU: engineCPU, Files: engineFiles, Read: []string{e.dir}})
	if err == nil {
		err = c.Wait()
	}
	if ctx.Err() != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w: %s", ErrEngine, err, strings.TrimSpace(said.String()))
	}
	a, err := ReadAnswer(&out, op, len(pictures))
	if err != nil {
		return Answer{}, fmt.Errorf("%w: %w", ErrEngine, err)
	}
	return a, nil
}

// limited keeps the first bytes that a child prints and takes the rest, so that
// it cannot be blocked by it.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(b []byte) (int, error) {
	n := min(len(b), l.left)
	l.left -= n
	l.Buffer.Write(b[:n])
	return len(b), nil
}
