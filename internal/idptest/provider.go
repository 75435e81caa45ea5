package idptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
	"golang.org/x/text/language"
)

// ClientID is what agents are called at this provider.
const ClientID = "kuule"

// TokenLifetime is how long an identity token of this provider counts.
const TokenLifetime = 8 * time.Hour

// Persona is somebody whom the page offers.
type Persona struct {
	Subject  string // unique and unchanging
	Name     string
	Role     string // claim kuule_role
	Redirect string // http://NAME.localhost:PORT/gw/signin/callback of the persona's agent
}

// Provider is a running identity provider.
type Provider struct {
	issuer string
	server *http.Server
	done   chan error
	store  *store
}

// Start serves a provider at addr (a loopback address; port 0 picks one) until
// ctx ends or Close is called.
func Start(ctx context.Context, addr string, personas []Persona) (*Provider, error) {
	if len(personas) == 0 {
		return nil, errors.New("demonstration sign-in: no personas")
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("demonstration sign-in: %w", err)
	}
	if ip := ln.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("demonstration sign-in: %s is no loopback address", ip), ln.Close())
	}
	p := &Provider{issuer: "http://" + ln.Addr().String(), done: make(chan error, 1)}
	if p.store, err = newStore(personas); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	handler, err := p.handler()
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	p.server = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10}
	stop := context.AfterFunc(ctx, func() { p.server.Close() }) // the caller's context ended
	go func() {
		defer stop()
		p.done <- p.server.Serve(ln)
	}()
	return p, nil
}

// Issuer is the provider's exact name and address.
func (p *Provider) Issuer() string { return p.issuer }

// Close ends the provider and waits until it has ended. Call it once.
func (p *Provider) Close() error {
	err := p.server.Close()
	if served := <-p.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (p *Provider) handler() (http.Handler, error) {
	config := &op.Config{CodeMethodS256: true, SupportedUILocales: []language.Tag{language.Finnish, language.English}}
	rand.Read(config.CryptoKey[:]) // never fails (crypto/rand)
	provider, err := op.NewProvider(config, p.store, op.StaticIssuer(p.issuer),
		op.WithAllowInsecure(), // plain http, and on a loopback address only
		op.WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("demonstration sign-in: %w", err)
	}
	callback := op.AuthCallbackURL(provider)
	issuer := op.NewIssuerInterceptor(provider.IssuerFromRequest)
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("GET /login", p.page)
	mux.HandleFunc("GET /login.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write([]byte(style))
	})
	mux.HandleFunc("POST /login", issuer.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
		id, subject := r.PostFormValue("id"), r.PostFormValue("subject")
		if err := p.store.pick(id, subject); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		http.Redirect(w, r, callback(r.Context(), id), http.StatusSeeOther)
	}))
	return secured(mux), nil
}

// secured sets what keeps the page from being framed or extended. form-action
// follows redirects, so it names the agents' addresses too.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self' http://*.localhost:*")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (p *Provider) page(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("id")
	request, err := p.store.AuthRequestByID(r.Context(), id)
	if err != nil {
		http.Error(w, "Kirjautuminen on vanhentunut: aloita alusta. / This sign-in is too old: start again.", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = loginPage.Execute(w, struct {
		ID       string
		Personas []Persona
		Roles    map[string]roleName
	}{id, p.store.offered(request.GetRedirectURI()), roleNames})
}

type roleName struct{ FI, EN string }

var roleNames = map[string]roleName{
	"interviewer":     {"puhuttelija", "interviewer"},
	"counsel":         {"avustaja", "counsel"},
	"interpreter":     {"tulkki", "interpreter"},
	"representative":  {"edustaja", "representative"},
	"security-office": {"turvallisuustoimisto", "security office"},
	"officer":         {"tunnistava virkailija", "officer at the desk"},
	"administrator":   {"ylläpitäjä", "administrator"},
}

var loginPage = template.Must(template.New("login").Parse(`<!doctype html>
<html lang="fi">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Kirjaudu · Sign in — Kuule</title>
<link rel="stylesheet" href="/login.css">
</head>
<body>
<main>
<h1>Kuka olet? <span lang="en">Who are you?</span></h1>
<p>Esittelyn kirjautuminen: salasanaa ei kysytä. <span lang="en">Demonstration sign-in: no password is asked.</span></p>
<form method="post" action="/login">
<input type="hidden" name="id" value="{{.ID}}">
<ul>
{{range .Personas}}{{$role := index $.Roles .Role}}<li><button name="subject" value="{{.Subject}}"><strong>{{.Name}}</strong> {{$role.FI}} · <span lang="en">{{$role.EN}}</span></button></li>
{{end}}</ul>
</form>
</main>
</body>
</html>
`))

const style = `:root{font:1.125rem/1.5 "Source Sans 3",system-ui,sans-serif;color:#292929;background:#f7f7f8}
main{max-inline-size:36rem;margin-inline:auto;padding:2rem 1rem}
h1{font-size:1.75rem;line-height:1.25}
span[lang=en]{color:#5c5c5c}
h1 span,p span{display:block}
ul{list-style:none;padding:0;display:grid;gap:.75rem}
button{inline-size:100%;min-block-size:3rem;padding:.75rem 1rem;font:inherit;text-align:start;color:inherit;background:#fff;border:1px solid #2a6ebb;border-radius:2px;cursor:pointer}
button:hover{background:#eaf2fa}
button:focus-visible{outline:3px solid #2a6ebb;outline-offset:2px}
strong{display:block}
`
