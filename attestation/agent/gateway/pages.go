package gateway

import (
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"kuule/internal/problem"
)

// policy is the content security policy of every page. 'self' covers the
// WebSocket, which goes to the same origin. Pages may make one Trusted Types
// policy, "kuule", for the addresses of their workers.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; font-src 'self'; " +
	"connect-src 'self'; worker-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types kuule"

// strictPolicy is for answers that are no pages: if a browser were brought to
// show one, nothing in it would run.
const strictPolicy = "default-src 'none'; frame-ancestors 'none'; sandbox"

const permissions = "camera=(self), microphone=(self), fullscreen=(self), screen-wake-lock=(self), autoplay=(self), display-capture=(self), " +
	"publickey-credentials-get=(self), publickey-credentials-create=(self), " +
	"geolocation=(), usb=(), serial=(), hid=(), bluetooth=(), midi=(), payment=(), clipboard-read=()"

// secure sets what every answer carries.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", strictPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Embedder-Policy", "require-corp")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Permissions-Policy", permissions)
	h.Set("Cache-Control", "no-store")
}

// contentTypes is closed: the system's own table of types decides nothing here.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".json": "application/json", ".map": "application/json", ".txt": "text/plain; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".ico": "image/x-icon", ".webp": "image/webp",
	".woff2": "font/woff2", ".woff": "font/woff", ".wasm": "application/wasm", ".webmanifest": "application/manifest+json",
	".pdf": "application/pdf", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".wav": "audio/wav", ".webm": "video/webm", ".md": "text/plain; charset=utf-8",
}

// pages serves the bundle from memory.
type pages struct{ files map[string]file }

type file struct {
	contentType string
	content     []byte
}

func loadPages(fsys fs.FS) (*pages, error) {
	p := &pages{files: map[string]file{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			contentType = "application/octet-stream"
		}
		p.files["/"+name] = file{contentType, content}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: read pages: %w", err)
	}
	if _, ok := p.files["/index.html"]; !ok {
		return nil, fmt.Errorf("gateway: pages hold no index.html: %w", fs.ErrNotExist)
	}
	return p, nil
}

// ServeHTTP answers with a file of the bundle. A window's address that names no
// file is the page's own affair: it gets index.html.
func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Path
	f, ok := p.files[name]
	if !ok && r.Header.Get("Sec-Fetch-Mode") == "navigate" && !strings.Contains(path.Base(name), ".") {
		f, ok = p.files["/index.html"]
	}
	if !ok {
		problem.Write(w, problem.New(problem.CodeNoRoute, "the bundle holds no such file"))
		return
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.content)
	}
}

// tombstone is a service worker that removes itself. Whoever held the port once
// may have left a worker that shows its own pages even after it is gone; the
// browser asks for that worker's script again and gets this one instead.
const tombstone = `self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil((async () => {
  for (const key of await caches.keys()) await caches.delete(key);
  await self.registration.unregister();
  for (const client of await self.clients.matchAll({ type: "window" })) await client.navigate(client.url);
})()));
`

func (g *Gateway) buryWorker(w http.ResponseWriter, r *http.Request) {
	g.cfg.Log.Warn("gateway buried a service worker: another process held this port once", "method", r.Method)
	// Under "sandbox" the worker could not send its windows on.
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	_, _ = w.Write([]byte(tombstone))
}
