package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"kuule/internal/canon"
	"kuule/internal/problem"
	"kuule/internal/signin"
	"kuule/internal/trust"
	"kuule/interview"
)

// ownTimeout bounds how long a caller may take to send a request's body.
const ownTimeout = 10 * time.Second

// Device is what the page may know of the machine it runs on.
type Device struct {
	ID        interview.DeviceID    `json:"device"`
	Label     string                `json:"label"` // the device's name in the register
	Kind      string                `json:"kind"`  // as in the register: workstation, room terminal
	Agreement interview.AgreementID `json:"agreement"`
	Premises  interview.PremisesID  `json:"premises"`
	Trust     *trust.File           `json:"trust"` // pinned at enrolment
}

// read reads a bounded JSON body strictly.
func read(w http.ResponseWriter, r *http.Request, out any) error {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(ownTimeout)); err != nil {
		return fmt.Errorf("bound the time of a request: %w", err)
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxOwnBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return problem.New(problem.CodeTooLarge, "request is larger than %d bytes", maxOwnBody)
	}
	if err != nil {
		return problem.New(problem.CodeMalformed, "request ended early")
	}
	if err := canon.Strict(text, out); err != nil {
		return problem.New(problem.CodeMalformed, "request is not the JSON that is wanted here: %w", err)
	}
	return http.NewResponseController(w).SetReadDeadline(time.Time{})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func (g *Gateway) getHealth(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]bool{"ok": true})
}

type sessionAnswer struct {
	Bearer  string `json:"bearer"`
	Resumed bool   `json:"resumed"`
}

// postSession takes a start code for the bearer of a session.
func (g *Gateway) postSession(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Code string `json:"code"`
	}
	if err := read(w, r, &in); err != nil {
		g.refuse(w, r, err)
		return
	}
	if !g.redeemRate.Allow() {
		g.refuse(w, r, problem.New(problem.CodeTooFast, "too many start codes in a short time"))
		return
	}
	bearer, resumed, err := g.sessions.redeem(in.Code)
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	answer(w, sessionAnswer{bearer, resumed})
}

func (g *Gateway) postSessionEnd(w http.ResponseWriter, r *http.Request) {
	g.sessions.drop(sessionOf(r))
	w.WriteHeader(http.StatusNoContent)
}

// postResume helps a page that lost its bearer to a new one, without giving it
// any: the device opens a start link itself, where it is set up to.
// docs/decisions/0003-reload-and-bearer.md says why.
func (g *Gateway) postResume(w http.ResponseWriter, r *http.Request) {
	if g.cfg.Relaunch == nil {
		answer(w, map[string]bool{"opened": false})
		return
	}
	if !g.relaunchRate.Allow() {
		g.refuse(w, r, problem.New(problem.CodeTooFast, "a start link was opened a moment ago"))
		return
	}
	if err := g.cfg.Relaunch(r.Context(), g.StartURL(true)); err != nil {
		g.refuse(w, r, problem.New(problem.CodeUnavailable, "browser could not be opened: %w", err))
		return
	}
	answer(w, map[string]bool{"opened": true})
}

func (g *Gateway) getDevice(w http.ResponseWriter, _ *http.Request) { answer(w, g.cfg.Device) }

type signInAnswer struct {
	Available bool       `json:"available"`
	SignedIn  bool       `json:"signed_in"`
	Name      string     `json:"name,omitempty"`
	Role      string     `json:"role,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
}

func (g *Gateway) getSignIn(w http.ResponseWriter, r *http.Request) {
	out := signInAnswer{Available: g.cfg.SignIn != nil}
	if who, _ := g.signedIn(sessionOf(r)); who != nil {
		out.SignedIn, out.Name, out.Role, out.Expires = true, who.Name, who.Role, &who.Expires
	}
	answer(w, out)
}

// signedIn returns who is signed in in a session, as long as that counts.
func (g *Gateway) signedIn(sess *session) (who *signin.Identity, proof signin.Proof) {
	g.sessions.do(func() {
		if sess.who != nil && time.Now().Before(sess.who.Expires) {
			who, proof = sess.who, sess.proof
		}
	})
	return who, proof
}

func (g *Gateway) postSignInStart(w http.ResponseWriter, r *http.Request) {
	if g.cfg.SignIn == nil {
		g.refuse(w, r, problem.New(problem.CodeNotReady, "no sign-in is set up at this device: come by join ticket"))
		return
	}
	address, attempt, err := g.cfg.SignIn.Begin(r.Context())
	if err != nil {
		g.refuse(w, r, err)
		return
	}
	sess := sessionOf(r)
	g.sessions.do(func() { sess.attempt = &attempt })
	answer(w, map[string]string{"url": address})
}

func (g *Gateway) postSignInEnd(w http.ResponseWriter, r *http.Request) {
	sess := sessionOf(r)
	g.sessions.do(func() { sess.attempt, sess.who, sess.proof = nil, nil, signin.Proof{} })
	w.WriteHeader(http.StatusNoContent)
}

// getSignInCallback is where the identity provider sends the window back to.
// The window was the page, and lost its bearer by leaving: it gets a fresh
// start code into the same session. Whoever does not know the state gets none.
func (g *Gateway) getSignInCallback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	sess, attempt, ok := g.sessions.byState(q.Get("state"))
	if !ok || g.cfg.SignIn == nil {
		g.cfg.Log.Warn("gateway refused", "method", r.Method, "why", "sign-in with an unknown or used state")
		http.Redirect(w, r, "/#problem="+string(problem.CodeSignIn), http.StatusSeeOther)
		return
	}
	code := g.sessions.mintFor(sess)
	back := startFragment + code
	if q.Get("error") != "" || q.Get("code") == "" {
		http.Redirect(w, r, back+"&problem="+string(problem.CodeSignIn), http.StatusSeeOther)
		return
	}
	who, proof, err := g.cfg.SignIn.Finish(r.Context(), attempt, q.Get("code"))
	if err != nil {
		g.cfg.Log.Warn("gateway refused", "method", r.Method, "why", err)
		http.Redirect(w, r, back+"&problem="+string(problem.Of(err).Code), http.StatusSeeOther)
		return
	}
	g.sessions.do(func() { sess.who, sess.proof = &who, proof })
	http.Redirect(w, r, back, http.StatusSeeOther)
}
