package gateway

import (
	"testing"
	"time"

	"kuule/internal/problem"
)

func TestACodeLivesOneMinute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		after time.Duration
		ok    bool
	}{{codeLifetime - time.Second, true}, {codeLifetime, false}} {
		now := time.Now()
		s := newSessions(func() time.Time { return now })
		code, _ := s.mint(false)
		now = now.Add(c.after)
		if _, _, err := s.redeem(code); (err == nil) != c.ok {
			t.Errorf("after %s: %v", c.after, err)
		}
	}
}

func TestASessionLivesOneDay(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newSessions(func() time.Time { return now })
	code, _ := s.mint(false)
	bearer, _, err := s.redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(sessionLifetime - time.Second)
	sess, err := s.find(bearer)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if _, err := s.find(bearer); !isProblem(err, problem.CodeBearer) {
		t.Errorf("old session: %v", err)
	}
	if sess.page.Err() == nil {
		t.Error("its sockets stay open")
	}
}

func TestResumingReplacesThePageAndKeepsTheSession(t *testing.T) {
	t.Parallel()
	s := newSessions(time.Now)
	code, _ := s.mint(true) // nothing to resume: a new session
	first, resumed, err := s.redeem(code)
	if err != nil || resumed {
		t.Fatal(resumed, err)
	}
	sess, err := s.find(first)
	if err != nil {
		t.Fatal(err)
	}
	page := sess.page
	code, _ = s.mint(true)
	second, resumed, err := s.redeem(code)
	if err != nil || !resumed {
		t.Fatal(resumed, err)
	}
	if again, err := s.find(second); err != nil || again != sess {
		t.Errorf("another session: %v", err)
	}
	if _, err := s.find(first); !isProblem(err, problem.CodeBearer) {
		t.Errorf("bearer of the page before: %v", err)
	}
	if page.Err() == nil {
		t.Error("sockets of the page before stay open")
	}
	if sess.page.Err() != nil {
		t.Error("the new page has ended already")
	}
	s.drop(sess)
	code = s.mintFor(sess)
	if _, resumed, err := s.redeem(code); err != nil || resumed {
		t.Errorf("a session that ended was resumed: %v %v", resumed, err)
	}
}

func TestSessionsAndCodesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSessions(time.Now)
	open := func() (string, error) {
		code, _ := s.mint(false)
		bearer, _, err := s.redeem(code)
		return bearer, err
	}
	first, err := open()
	if err != nil {
		t.Fatal(err)
	}
	for range maxSessions {
		if _, err := open(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.find(first); err == nil || len(s.byBearer) != maxSessions {
		t.Errorf("the oldest of %d sessions was kept: %v", len(s.byBearer), err)
	}
	for _, sess := range s.byBearer {
		sess.sockets = 1
	}
	if _, err := open(); !isProblem(err, problem.CodeTooFast) {
		t.Errorf("a session in use was ended for another: %v", err)
	}
	keep, _ := s.mint(false)
	for range 5 * maxCodes {
		s.mint(false)
	}
	if len(s.codes) != maxCodes {
		t.Errorf("%d codes are kept", len(s.codes))
	}
	if _, ok := s.codes[digestOf(keep)]; ok {
		t.Error("the oldest code was kept")
	}
}

func TestASocketBelongsToThePageThatHoldsTheSession(t *testing.T) {
	t.Parallel()
	s := newSessions(time.Now)
	code, _ := s.mint(false)
	first, _, err := s.redeem(code)
	if err != nil {
		t.Fatal(err)
	}
	sess, err := s.find(first) // looked up just before another page takes over
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := s.redeem(s.mintFor(sess))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.openSocket(sess, first); !isProblem(err, problem.CodeBearer) {
		t.Errorf("page before: %v", err)
	}
	for range maxSockets {
		if _, err := s.openSocket(sess, second); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.openSocket(sess, second); !isProblem(err, problem.CodeTooFast) {
		t.Errorf("one socket more: %v", err)
	}
}
