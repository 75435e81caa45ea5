package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"sync"
	"time"

	agentsignin "kuule/attestation/agent/signin"
	"kuule/internal/problem"
	"kuule/internal/signin"
)

const (
	codeLifetime    = time.Minute
	sessionLifetime = 12 * time.Hour
	maxCodes        = 16
	maxSessions     = 8
	maxSockets      = 16 // of one session
	secretSize      = 32 // bytes: 256 bits
	secretText      = 43 // characters of base64url
)

// StartURL opens the page: the one-time code is in its fragment, which browsers
// send to nobody. It is never logged.
type StartURL struct {
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
}

// String keeps the code out of logs; use the field.
func (StartURL) String() string { return "redacted" }

// GoString keeps the code out of %#v.
func (StartURL) GoString() string { return "redacted" }

// LogValue keeps the code out of slog.
func (StartURL) LogValue() slog.Value { return slog.StringValue("redacted") }

// digest is how secrets are kept and looked up: neither the map nor the time a
// look-up takes says anything of a secret.
type digest [sha256.Size]byte

func digestOf(secret string) digest { return sha256.Sum256([]byte(secret)) }

func newSecret() string {
	b := make([]byte, secretSize)
	rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// session is one page at a time, and who signed in there. Its fields are
// guarded by sessions.mu.
type session struct {
	bearer  digest
	made    time.Time
	used    time.Time
	sockets int

	// page ends when another page takes the session over, or it ends: open
	// sockets of the page before end with it.
	page context.Context
	end  context.CancelFunc

	attempt *agentsignin.Attempt
	who     *signin.Identity
	proof   signin.Proof
}

type startCode struct {
	expires time.Time
	resumes *session // nil: begins a new session
}

// sessions keeps the codes and sessions of one gateway.
type sessions struct {
	now func() time.Time

	mu       sync.Mutex
	codes    map[digest]startCode
	byBearer map[digest]*session
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, codes: map[digest]startCode{}, byBearer: map[digest]*session{}}
}

// mint makes a start code. With resume it leads back into the session that was
// used last, if there is one: its sign-in stays, its page is replaced.
func (s *sessions) mint(resume bool) (code string, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var into *session
	if resume {
		into = s.latest()
	}
	return s.mintInto(into)
}

// mintFor makes a start code that leads back into sess.
func (s *sessions) mintFor(sess *session) (code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, _ = s.mintInto(sess)
	return code
}

func (s *sessions) mintInto(sess *session) (string, time.Time) {
	s.expire()
	if len(s.codes) >= maxCodes {
		delete(s.codes, oldestCode(s.codes))
	}
	code, expires := newSecret(), s.now().Add(codeLifetime)
	s.codes[digestOf(code)] = startCode{expires, sess}
	return code, expires
}

// redeem takes a code, once, for a bearer.
func (s *sessions) redeem(code string) (bearer string, resumed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	key := digestOf(code)
	c, ok := s.codes[key]
	delete(s.codes, key)
	if !ok || len(code) != secretText {
		return "", false, problem.New(problem.CodeStartCode, "start code is unknown, used or older than %s: open a new start link", codeLifetime)
	}
	sess := c.resumes
	if sess != nil && s.byBearer[sess.bearer] != sess {
		sess = nil // it ended meanwhile
	}
	resumed = sess != nil
	if resumed {
		sess.end()
		delete(s.byBearer, sess.bearer)
	} else {
		if err := s.makeRoom(); err != nil {
			return "", false, err
		}
		sess = &session{made: s.now()}
	}
	bearer = newSecret()
	sess.bearer, sess.used = digestOf(bearer), s.now()
	sess.page, sess.end = context.WithCancel(context.Background())
	s.byBearer[sess.bearer] = sess
	return bearer, resumed, nil
}

// find returns the session of a bearer.
func (s *sessions) find(bearer string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	sess, ok := s.byBearer[digestOf(bearer)]
	if !ok || len(bearer) != secretText {
		return nil, problem.New(problem.CodeBearer, "bearer is missing or unknown: open a new start link")
	}
	sess.used = s.now()
	return sess, nil
}

// byState returns the session whose sign-in has that state, and the attempt,
// which is used up by it.
func (s *sessions) byState(state string) (*session, agentsignin.Attempt, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire()
	want := digestOf(state)
	for _, sess := range s.byBearer {
		if sess.attempt != nil && digestOf(sess.attempt.State) == want {
			a := *sess.attempt
			sess.attempt = nil
			return sess, a, true
		}
	}
	return nil, agentsignin.Attempt{}, false
}

// openSocket counts a socket of the session's page and returns what the socket
// lives as long as. Another page may have taken the session over since the
// bearer was looked up: then it is refused.
func (s *sessions) openSocket(sess *session, bearer string) (page context.Context, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.bearer != digestOf(bearer) {
		return nil, problem.New(problem.CodeBearer, "another page has taken this session over")
	}
	if sess.sockets >= maxSockets {
		return nil, problem.New(problem.CodeTooFast, "page has %d sockets open already", maxSockets)
	}
	sess.sockets++
	return sess.page, nil
}

// do runs f on the session's fields.
func (s *sessions) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// drop ends a session and its page's sockets.
func (s *sessions) drop(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(sess)
}

func (s *sessions) dropAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sess := range s.byBearer {
		s.remove(sess)
	}
	clear(s.codes)
}

func (s *sessions) remove(sess *session) {
	sess.end()
	sess.attempt, sess.who, sess.proof = nil, nil, signin.Proof{}
	if s.byBearer[sess.bearer] == sess {
		delete(s.byBearer, sess.bearer)
	}
}

func (s *sessions) latest() *session {
	var out *session
	for _, sess := range s.byBearer {
		if out == nil || sess.used.After(out.used) {
			out = sess
		}
	}
	return out
}

// expire forgets what is over.
func (s *sessions) expire() {
	now := s.now()
	for key, c := range s.codes {
		if !now.Before(c.expires) {
			delete(s.codes, key)
		}
	}
	for _, sess := range s.byBearer {
		if now.Sub(sess.made) >= sessionLifetime {
			s.remove(sess)
		}
	}
}

// makeRoom ends the session that was unused for longest; one with an open
// socket is in use.
func (s *sessions) makeRoom() error {
	if len(s.byBearer) < maxSessions {
		return nil
	}
	var idle *session
	for _, sess := range s.byBearer {
		if sess.sockets == 0 && (idle == nil || sess.used.Before(idle.used)) {
			idle = sess
		}
	}
	if idle == nil {
		return problem.New(problem.CodeTooFast, "%d pages are open at this device: close one", maxSessions)
	}
	s.remove(idle)
	return nil
}

func oldestCode(codes map[digest]startCode) digest {
	var key digest
	for k, c := range codes {
		if o, ok := codes[key]; !ok || c.expires.Before(o.expires) {
			key = k
		}
	}
	return key
}
